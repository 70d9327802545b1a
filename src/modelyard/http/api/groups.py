"""/v4/model-groups"""

from typing import Annotated

from fastapi import APIRouter, Query

from modelyard.http.api.convert import groups as convert
from modelyard.http.api.given import GivenAttempt, GivenParts, GivenScope, problems
from modelyard.http.api.lists import page_answer, page_query
from modelyard.http.api.models import answers
from modelyard.http.api.wire.common import Deleted, ListQuery, PageAnswer
from modelyard.http.api.wire.groups import ModelGroupAnswer, ModelGroupChange, ModelGroupCreate
from modelyard.http.api.wire.models import ModelAnswer

router = APIRouter(prefix="/v4/model-groups", tags=["Model groups"])


@router.post("", responses=problems(404, 409))
async def create(
    parts: GivenParts, scope: GivenScope, attempt: GivenAttempt, body: ModelGroupCreate
) -> ModelGroupAnswer:
    """A group for models of one base model."""
    return convert.answer(await parts.groups.create(scope, body.account_id, body.name, body.description, attempt))


@router.get("", responses=problems())
async def list_all(
    parts: GivenParts, scope: GivenScope, query: Annotated[ListQuery, Query()]
) -> PageAnswer[ModelGroupAnswer]:
    """The model groups of your accounts."""
    page = await parts.groups.page(page_query(scope, query))
    return page_answer(page, [convert.answer(group) for group in page.items])


@router.get("/{model_group_id}", responses=problems(404))
async def retrieve(parts: GivenParts, scope: GivenScope, model_group_id: str) -> ModelGroupAnswer:
    return convert.answer(await parts.groups.get(scope, model_group_id))


@router.patch("/{model_group_id}", responses=problems(404, 409))
async def update(parts: GivenParts, scope: GivenScope, model_group_id: str, body: ModelGroupChange) -> ModelGroupAnswer:
    """Change what is sent."""
    changed = await parts.groups.change(scope, model_group_id, lambda group: convert.changed(group, body))
    return convert.answer(changed)


@router.delete("/{model_group_id}", responses=problems(404, 409))
async def delete(parts: GivenParts, scope: GivenScope, model_group_id: str) -> Deleted:
    """Its models stay, in no group from then on."""
    await parts.groups.delete(scope, model_group_id)
    return Deleted(count=1, success=True)


@router.post("/{model_group_id}/models/{model_instance_id}", responses=problems(404, 409))
async def add_model(parts: GivenParts, scope: GivenScope, model_group_id: str, model_instance_id: str) -> ModelAnswer:
    """Put a model into the group; it leaves the one it was in. All models of a group have the same base_model_id."""
    model = await parts.groups.add_model(scope, model_group_id, model_instance_id)
    return (await answers(parts, scope, [model]))[0]


@router.delete("/{model_group_id}/models/{model_instance_id}", responses=problems(404, 409))
async def remove_model(parts: GivenParts, scope: GivenScope, model_group_id: str, model_instance_id: str) -> Deleted:
    """Take a model out of the group; the model itself stays."""
    await parts.groups.remove_model(scope, model_group_id, model_instance_id)
    return Deleted(count=1, success=True)
