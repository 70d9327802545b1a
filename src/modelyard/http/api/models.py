"""/v4/models"""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from modelyard.control.scope import Scope
from modelyard.domain.deployments import Deployment
from modelyard.domain.groups import ModelGroup
from modelyard.domain.models import Model
from modelyard.http.api.convert import deployments as convert_deployments
from modelyard.http.api.convert import groups as convert_groups
from modelyard.http.api.convert import models as convert
from modelyard.http.api.given import GivenAttempt, GivenParts, GivenScope, problems
from modelyard.http.api.lists import page_answer, page_query
from modelyard.http.api.wire.common import Deleted, PageAnswer
from modelyard.http.api.wire.deployments import DeploymentAnswer
from modelyard.http.api.wire.groups import ModelGroupAnswer
from modelyard.http.api.wire.models import ModelAnswer, ModelChange, ModelCreate, ModelQuery, ViewQuery
from modelyard.http.parts import Parts

router = APIRouter(prefix="/v4/models", tags=["Models"])


@router.post("", responses=problems(404, 409))
async def create(parts: GivenParts, scope: GivenScope, attempt: GivenAttempt, body: ModelCreate) -> ModelAnswer:
    """A template with its blanks filled in. It costs nothing until it is deployed."""
    model = await parts.models.create(scope, body.account_id, convert.draft(body), attempt)
    return (await answers(parts, scope, [model]))[0]


@router.get("", responses=problems())
async def list_all(
    parts: GivenParts, scope: GivenScope, query: Annotated[ModelQuery, Query()]
) -> PageAnswer[ModelAnswer]:
    """The models of your accounts, and the built-in ones."""
    views = convert.views(query.view)
    where = {"model_group_id": query.model_group_id, "model_type": query.model_type}
    page = await parts.models.page(page_query(scope, query, where))
    return page_answer(page, await answers(parts, scope, page.items, views))


@router.get("/{model_id}", responses=problems(404))
async def retrieve(
    parts: GivenParts, scope: GivenScope, model_id: str, query: Annotated[ViewQuery, Query()]
) -> ModelAnswer:
    views = convert.views(query.view)
    return (await answers(parts, scope, [await parts.models.get(scope, model_id)], views))[0]


@router.patch("/{model_id}", responses=problems(404, 409))
async def update(parts: GivenParts, scope: GivenScope, model_id: str, body: ModelChange) -> ModelAnswer:
    """Change what is sent; its deployments roll over without a dropped request."""
    model = await parts.models.change(scope, model_id, lambda model: convert.changed(model, body))
    return (await answers(parts, scope, [model]))[0]


@router.delete("/{model_id}", responses=problems(404, 409))
async def delete(parts: GivenParts, scope: GivenScope, model_id: str) -> Deleted:
    """Possible once its deployments are gone."""
    await parts.models.delete(scope, model_id)
    return Deleted(count=1, success=True)


async def answers(
    parts: Parts, scope: Scope, models: Sequence[Model], views: frozenset[str] = frozenset()
) -> list[ModelAnswer]:
    """What clients see of these models; ``views`` are those asked for."""
    counts = await parts.models.deployment_counts(scope, models)
    deployments = await parts.models.deployments(scope, models) if "Deployments" in views else None
    groups = await parts.groups.of_models(models) if "ModelGroup" in views else {}
    return [
        convert.answer(
            model,
            counts[model.id],
            None if deployments is None else [_deployment(parts, each) for each in deployments[model.id]],
            _group(groups.get(model.model_group_id or "")),
        )
        for model in models
    ]


def _deployment(parts: Parts, deployment: Deployment) -> DeploymentAnswer:
    return convert_deployments.answer(deployment, parts.deployments.status(deployment))


def _group(group: ModelGroup | None) -> ModelGroupAnswer | None:
    return None if group is None else convert_groups.answer(group)
