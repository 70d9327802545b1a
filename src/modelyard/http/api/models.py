"""/v4/models"""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from modelyard.control.scope import Scope
from modelyard.domain.models import Model
from modelyard.http.api.convert import deployments as convert_deployments
from modelyard.http.api.convert import models as convert
from modelyard.http.api.given import GivenAttempt, GivenParts, GivenScope, problems
from modelyard.http.api.lists import page_answer, page_query
from modelyard.http.api.wire.common import Deleted, PageAnswer
from modelyard.http.api.wire.models import ModelAnswer, ModelChange, ModelCreate, ModelQuery, ViewQuery
from modelyard.http.parts import Parts

router = APIRouter(prefix="/v4/models", tags=["Models"])


@router.post("", responses=problems(404, 409))
async def create(parts: GivenParts, scope: GivenScope, attempt: GivenAttempt, body: ModelCreate) -> ModelAnswer:
    """A template with its blanks filled in. It costs nothing until it is deployed."""
    model = await parts.models.create(scope, body.account_id, convert.draft(body), attempt)
    return (await _answers(parts, scope, [model]))[0]


@router.get("", responses=problems())
async def list_all(
    parts: GivenParts, scope: GivenScope, query: Annotated[ModelQuery, Query()]
) -> PageAnswer[ModelAnswer]:
    """The models of your accounts, and the built-in ones."""
    views = convert.views(query.view)
    where = {"model_group_id": query.model_group_id, "model_type": query.model_type}
    page = await parts.models.page(page_query(scope, query, where))
    return page_answer(page, await _answers(parts, scope, page.items, views))


@router.get("/{model_id}", responses=problems(404))
async def retrieve(
    parts: GivenParts, scope: GivenScope, model_id: str, query: Annotated[ViewQuery, Query()]
) -> ModelAnswer:
    views = convert.views(query.view)
    return (await _answers(parts, scope, [await parts.models.get(scope, model_id)], views))[0]


@router.patch("/{model_id}", responses=problems(404, 409))
async def update(parts: GivenParts, scope: GivenScope, model_id: str, body: ModelChange) -> ModelAnswer:
    """Change what is sent; its deployments roll over without a dropped request."""
    model = await parts.models.change(scope, model_id, lambda model: convert.changed(model, body))
    return (await _answers(parts, scope, [model]))[0]


@router.delete("/{model_id}", responses=problems(404, 409))
async def delete(parts: GivenParts, scope: GivenScope, model_id: str) -> Deleted:
    """Possible once its deployments are gone."""
    await parts.models.delete(scope, model_id)
    return Deleted(count=1, success=True)


async def _answers(
    parts: Parts, scope: Scope, models: Sequence[Model], views: frozenset[str] = frozenset()
) -> list[ModelAnswer]:
    counts = await parts.models.deployment_counts(scope, models)
    if "Deployments" not in views:
        return [convert.answer(model, counts[model.id]) for model in models]
    found = await parts.models.deployments(scope, models)
    return [
        convert.answer(
            model,
            counts[model.id],
            [convert_deployments.answer(each, parts.deployments.status(each)) for each in found[model.id]],
        )
        for model in models
    ]
