"""/v4/limits: what keys, identities, accounts and models may use."""

from typing import Annotated

from fastapi import APIRouter, Query

from modelyard.http.api.convert import limits as convert
from modelyard.http.api.given import GivenAttempt, GivenParts, GivenScope, problems
from modelyard.http.api.lists import page_answer, page_query
from modelyard.http.api.wire.common import Deleted, ListQuery, PageAnswer
from modelyard.http.api.wire.limits import LimitAnswer, LimitChange, LimitCreate

router = APIRouter(prefix="/v4/limits", tags=["Limits"])


@router.post("", responses=problems(404, 409))
async def create(parts: GivenParts, scope: GivenScope, attempt: GivenAttempt, body: LimitCreate) -> LimitAnswer:
    """Limit what a key, an identity, an account or a model may use. In force within a second or two."""
    return convert.answer(await parts.limits.create(scope, body.account_id, convert.draft(body), attempt))


@router.get("", responses=problems())
async def list_all(
    parts: GivenParts, scope: GivenScope, query: Annotated[ListQuery, Query()]
) -> PageAnswer[LimitAnswer]:
    """The limits of your accounts."""
    page = await parts.limits.page(page_query(scope, query))
    return page_answer(page, [convert.answer(limit) for limit in page.items])


@router.get("/{limit_id}", responses=problems(404))
async def retrieve(parts: GivenParts, scope: GivenScope, limit_id: str) -> LimitAnswer:
    return convert.answer(await parts.limits.get(scope, limit_id))


@router.patch("/{limit_id}", responses=problems(404, 409))
async def update(parts: GivenParts, scope: GivenScope, limit_id: str, body: LimitChange) -> LimitAnswer:
    """Change what is sent; what is used of it stays used."""
    return convert.answer(await parts.limits.change(scope, limit_id, lambda limit: convert.changed(limit, body)))


@router.delete("/{limit_id}", responses=problems(404, 409))
async def delete(parts: GivenParts, scope: GivenScope, limit_id: str) -> Deleted:
    await parts.limits.delete(scope, limit_id)
    return Deleted(count=1, success=True)
