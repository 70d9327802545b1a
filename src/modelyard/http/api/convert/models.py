"""Models, to and from the wire."""

from dataclasses import replace
from typing import Any

from modelyard.control.drafts import ModelDraft
from modelyard.domain.models import Model
from modelyard.domain.templates import ModelType
from modelyard.errors import InvalidRequest
from modelyard.http.api.schemas import request_schema, response_schema
from modelyard.http.api.wire import models as wire
from modelyard.http.api.wire.deployments import DeploymentAnswer
from modelyard.http.api.wire.groups import ModelGroupAnswer

VIEWS = ("Deployments", "ModelGroup")

_TEXTS = ("display_name", "description", "base_model_id", "model_card", "training_data_card")
_REFERENCES = ("model_vendor", "model_template_id", "model_group_id")


def draft(body: wire.ModelCreate) -> ModelDraft:
    """What a POST asks for."""
    return ModelDraft(
        name=body.name,
        model_type=body.model_type,
        model_creation_parameters=body.model_creation_parameters or {},
        fallbacks=tuple(body.fallbacks or ()),
        base_model_metadata=_metadata(body.base_model_metadata),
        **{name: getattr(body, name) for name in (*_TEXTS, *_REFERENCES)},
    )


def changed(model: Model, body: wire.ModelChange) -> ModelDraft:
    """``model`` with what a PATCH sent: fields not sent stay."""
    sent = body.model_fields_set
    new: dict[str, Any] = {
        name: getattr(body, name) for name in ("name", "model_type", *_TEXTS, *_REFERENCES) if name in sent
    }
    if "model_creation_parameters" in sent:
        new["model_creation_parameters"] = body.model_creation_parameters or {}
    if "fallbacks" in sent:
        new["fallbacks"] = tuple(body.fallbacks or ())
    if "base_model_metadata" in sent:
        new["base_model_metadata"] = _metadata(body.base_model_metadata)
    return replace(ModelDraft.of(model), **new)


def _metadata(body: wire.BaseModelMetadata | None) -> dict[str, Any] | None:
    return None if body is None else body.model_dump(mode="json", exclude_none=True)


def views(asked: list[str]) -> frozenset[str]:
    """The views in a query that joins them by commas or repeats them."""
    names = frozenset(name for text in asked for name in text.split(",") if name)
    if unknown := sorted(names - set(VIEWS)):
        raise InvalidRequest.at("query", "view", msg=f"unknown view '{unknown[0]}'; there are {' and '.join(VIEWS)}")
    return names


def answer(
    model: Model,
    deployment_count: int,
    deployments: list[DeploymentAnswer] | None = None,
    group: ModelGroupAnswer | None = None,
) -> wire.ModelAnswer:
    """``deployments`` and ``group``: where those views are asked for."""
    return wire.ModelAnswer(
        id=model.id,
        account_id=model.account_id,
        created_at=model.created_at,
        created_by_user_id=model.created_by_user_id,
        created_by_identity_type=model.created_by_identity_type,
        name=model.name,
        model_type=model.model_type,
        model_creation_parameters=dict(model.model_creation_parameters),
        fallbacks=list(model.fallbacks),
        base_model_metadata=None if model.base_model_metadata is None else dict(model.base_model_metadata),
        deployment_count=deployment_count,
        request_schema=request_schema(model.model_type),
        response_schema=response_schema(model.model_type),
        supports_multi_turn=model.model_type in (ModelType.CHAT_COMPLETION, ModelType.AGENT),
        deployments=deployments,
        model_group=group,
        **{name: getattr(model, name) for name in (*_TEXTS, *_REFERENCES)},
    )
