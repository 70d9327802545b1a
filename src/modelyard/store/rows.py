"""Between rows and the domain's frozen data."""

from typing import Any, TypeVar

import msgspec
from sqlalchemy import Row

from modelyard.domain.accounts import Account, ApiKey, IdentityType, KeyKind
from modelyard.domain.deployments import Deployment, DeploymentStatus, Event, Observed, Phase, Target, Worker
from modelyard.domain.groups import ModelGroup
from modelyard.domain.models import Model, ModelVendor
from modelyard.domain.parameters import ParameterSchema
from modelyard.domain.rights import KeyScope
from modelyard.domain.servers import Backend, Backends, ModelServer
from modelyard.domain.templates import (
    BundleConfig,
    EndpointConfig,
    EndpointProtocol,
    EndpointType,
    ModelType,
    Template,
)

T = TypeVar("T")
Values = dict[str, Any]


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value)


def _owned(entity: Template | Model | ModelGroup | ModelServer | Deployment) -> Values:
    return {
        "id": entity.id,
        "account_id": entity.account_id,
        "created_at": entity.created_at,
        "created_by_user_id": entity.created_by_user_id,
        "created_by_identity_type": entity.created_by_identity_type.value,
        "name": entity.name,
    }


def _fields(row: Row[Any]) -> Values:
    """A row of an entity by column; taken apart at once, which is much faster than name by name."""
    fields = row._asdict()
    del fields["version"]
    fields["created_by_identity_type"] = IdentityType(fields["created_by_identity_type"])
    return fields


def template_values(template: Template) -> Values:
    return {
        **_owned(template),
        "endpoint_type": template.endpoint_type.value,
        "model_type": template.model_type.value,
        "endpoint_protocol": template.endpoint_protocol.value,
        "bundle": _plain(template.bundle),
        "endpoint": _plain(template.endpoint),
        "fine_tuning": None if template.fine_tuning is None else _plain(template.fine_tuning),
        "creation_schema": _plain(template.creation_schema),
        "request_schema": _plain(template.request_schema),
    }


def template(row: Row[Any]) -> Template:
    fields = _fields(row)
    fields["endpoint_type"] = EndpointType(fields["endpoint_type"])
    fields["model_type"] = ModelType(fields["model_type"])
    fields["endpoint_protocol"] = EndpointProtocol(fields["endpoint_protocol"])
    fields["bundle"] = msgspec.convert(fields["bundle"], BundleConfig)
    fields["endpoint"] = msgspec.convert(fields["endpoint"], EndpointConfig)
    fields["creation_schema"] = msgspec.convert(fields["creation_schema"], ParameterSchema)
    fields["request_schema"] = msgspec.convert(fields["request_schema"], ParameterSchema)
    return Template(**fields)


_MODEL_FIELDS = (
    "display_name",
    "description",
    "model_template_id",
    "model_group_id",
    "base_model_id",
    "base_model_metadata",
    "model_card",
    "training_data_card",
)


def model_values(model: Model) -> Values:
    return {
        **_owned(model),
        "model_type": model.model_type.value,
        "model_vendor": model.model_vendor and model.model_vendor.value,
        "model_creation_parameters": dict(model.model_creation_parameters),
        "fallbacks": list(model.fallbacks),
        **{name: getattr(model, name) for name in _MODEL_FIELDS},
    }


def model(row: Row[Any]) -> Model:
    fields = _fields(row)
    fields["model_type"] = ModelType(fields["model_type"])
    if fields["model_vendor"] is not None:
        fields["model_vendor"] = ModelVendor(fields["model_vendor"])
    fields["fallbacks"] = tuple(fields["fallbacks"])
    return Model(**fields)


def group_values(group: ModelGroup) -> Values:
    return {**_owned(group), "description": group.description}


def group(row: Row[Any]) -> ModelGroup:
    return ModelGroup(**_fields(row))


def server_values(server: ModelServer) -> Values:
    return {
        **_owned(server),
        "alias": server.alias,
        "backends": _pairs(server.backends),
        "earlier": [_pairs(backends) for backends in server.earlier],
        "fallbacks": list(server.fallbacks),
    }


def server(row: Row[Any]) -> ModelServer:
    fields = _fields(row)
    fields["backends"] = _backends(fields["backends"])
    fields["earlier"] = tuple(_backends(pairs) for pairs in fields["earlier"])
    fields["fallbacks"] = tuple(fields["fallbacks"])
    return ModelServer(**fields)


def _pairs(backends: Backends) -> list[list[Any]]:
    return [[backend.deployment_id, backend.weight] for backend in backends]


def _backends(pairs: list[list[Any]]) -> Backends:
    return tuple(Backend(*pair) for pair in pairs)


_TARGET_FIELDS = ("min_workers", "max_workers", "per_worker", "revision", "generation", "deleted")
_LEASE_FIELDS = ("status", "due_at", "nudged", "lease_owner", "lease_until")
_OBSERVED_FIELDS = (
    "ready_revision",
    "failures",
    "crashes",
    "failed_at",
    "reason",
    "wanted",
    "failed_revision",
    "start_seconds",
    "note",
)


ASKED_FIELDS = (
    "id",
    "account_id",
    "created_at",
    "created_by_user_id",
    "created_by_identity_type",
    "model_id",
    "name",
    "vendor_configuration",
    "model_creation_parameters",
    "deployment_metadata",
    *(name for name in _TARGET_FIELDS if name != "generation"),
)
"""Columns of a deployment that its owner decides, and whose it is."""


def asked_values(deployment: Deployment) -> Values:
    """What a deployment's owner decides."""
    return {
        "name": deployment.name,
        "vendor_configuration": dict(deployment.vendor_configuration),
        "model_creation_parameters": dict(deployment.model_creation_parameters),
        "deployment_metadata": deployment.deployment_metadata,
        **{name: getattr(deployment.target, name) for name in _TARGET_FIELDS},
    }


def observed_values(observed: Observed) -> Values:
    """What the reconciler decides: all but demanded_at, which calls write."""
    return {
        "observed_generation": observed.generation,
        **{name: getattr(observed, name) for name in _OBSERVED_FIELDS},
    }


def deployment_values(deployment: Deployment, status: DeploymentStatus) -> Values:
    return {
        **_owned(deployment),
        "model_id": deployment.model_id,
        **asked_values(deployment),
        **observed_values(deployment.observed),
        "demanded_at": deployment.observed.demanded_at,
        "status": status.value,
        "due_at": deployment.created_at,
        "nudged": False,
    }


def deployment(row: Row[Any], workers: tuple[Worker, ...]) -> Deployment:
    fields = _fields(row)
    for name in _LEASE_FIELDS:
        del fields[name]
    target = Target(**{name: fields.pop(name) for name in _TARGET_FIELDS})
    fields["start_seconds"] = tuple(fields["start_seconds"])
    observed = Observed(
        generation=fields.pop("observed_generation"),
        demanded_at=fields.pop("demanded_at"),
        **{name: fields.pop(name) for name in _OBSERVED_FIELDS},
    )
    return Deployment(target=target, observed=observed, workers=workers, **fields)


_WORKER_FIELDS = ("id", "deployment_id", "revision", "created_at", "address", "detail", "ready_at", "draining_since")


def worker_values(worker: Worker) -> Values:
    return {**{name: getattr(worker, name) for name in _WORKER_FIELDS}, "phase": worker.phase.value}


def worker(row: Row[Any]) -> Worker:
    return Worker(phase=Phase(row.phase), **{name: getattr(row, name) for name in _WORKER_FIELDS})


def event(row: Row[Any]) -> Event:
    return Event(row.deployment_id, row.at, row.kind, row.message)


def account(row: Any) -> Account:
    """From any row with an account's columns."""
    return Account(id=row.id, name=row.name, status=row.status, created_at=row.created_at)


_KEY_FIELDS = (
    "id",
    "identity_id",
    "name",
    "prefix",
    "digest",
    "created_at",
    "expires_at",
    "revoked_at",
    "last_used_at",
)


def key_values(key: ApiKey) -> Values:
    return {
        **{name: getattr(key, name) for name in _KEY_FIELDS},
        "kind": key.kind.value,
        "scopes": None if key.scopes is None else [scope.value for scope in key.scopes],
        "models": None if key.models is None else list(key.models),
    }


def key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        **{name: getattr(row, name) for name in _KEY_FIELDS},
        kind=KeyKind(row.kind),
        scopes=None if row.scopes is None else tuple(KeyScope(scope) for scope in row.scopes),
        models=None if row.models is None else tuple(row.models),
    )
