"""/v4/model-templates"""

from typing import Annotated

from fastapi import APIRouter, Query

from modelyard.http.api.convert import templates as convert
from modelyard.http.api.given import GivenAttempt, GivenParts, GivenScope, problems
from modelyard.http.api.lists import page_answer, page_query
from modelyard.http.api.wire.common import Deleted, ListQuery, PageAnswer
from modelyard.http.api.wire.templates import TemplateAnswer, TemplateChange, TemplateCreate

router = APIRouter(prefix="/v4/model-templates", tags=["Model templates"])


@router.post("", responses=problems(404, 409))
async def create(parts: GivenParts, scope: GivenScope, attempt: GivenAttempt, body: TemplateCreate) -> TemplateAnswer:
    """Write once what many models are made from: what runs, on what, and which parameters it takes."""
    return convert.answer(await parts.templates.create(scope, body.account_id, convert.draft(body), attempt))


@router.get("", responses=problems())
async def list_all(
    parts: GivenParts, scope: GivenScope, query: Annotated[ListQuery, Query()]
) -> PageAnswer[TemplateAnswer]:
    """The templates of your accounts, and the built-in ones."""
    page = await parts.templates.page(page_query(scope, query))
    return page_answer(page, [convert.answer(template) for template in page.items])


@router.get("/{template_id}", responses=problems(404))
async def retrieve(parts: GivenParts, scope: GivenScope, template_id: str) -> TemplateAnswer:
    return convert.answer(await parts.templates.get(scope, template_id))


@router.patch("/{template_id}", responses=problems(404, 409))
async def update(parts: GivenParts, scope: GivenScope, template_id: str, body: TemplateChange) -> TemplateAnswer:
    """Change what is sent; deployments of its models roll over without a dropped request."""
    changed = await parts.templates.change(scope, template_id, lambda template: convert.changed(template, body))
    return convert.answer(changed)


@router.delete("/{template_id}", responses=problems(404, 409))
async def delete(parts: GivenParts, scope: GivenScope, template_id: str) -> Deleted:
    """Possible once no model is made from it."""
    await parts.templates.delete(scope, template_id)
    return Deleted(count=1, success=True)
