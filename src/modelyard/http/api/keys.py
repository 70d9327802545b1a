"""/v4/api-keys"""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from modelyard.control.people.key_checks import ME
from modelyard.http.api.convert import keys as convert
from modelyard.http.api.given import GivenAnyScope, GivenAttempt, GivenParts, GivenScope, problems
from modelyard.http.api.lists import page_answer, page_query
from modelyard.http.api.wire.common import Deleted, PageAnswer
from modelyard.http.api.wire.keys import KeyAnswer, KeyChange, KeyCreate, KeyCreated, KeyQuery, KeyRotate

router = APIRouter(prefix="/v4/api-keys", tags=["API keys"])


@router.post("", responses=problems(404, 409))
async def create(parts: GivenParts, scope: GivenScope, attempt: GivenAttempt, body: KeyCreate) -> KeyCreated:
    """A key of your own (``"identity_id": "me"``), of a service account, or of a new service account with one role in
    one account. The key is shown this once."""
    return convert.created_key(await parts.api_keys.create(scope, convert.draft(body), attempt))


@router.get("", responses=problems())
async def list_all(parts: GivenParts, scope: GivenScope, query: Annotated[KeyQuery, Query()]) -> PageAnswer[KeyAnswer]:
    """Your own keys, and those of the members of the accounts that you administer."""
    wanted = scope.caller.identity_id if query.identity_id == ME else query.identity_id
    page = await parts.api_keys.page(scope, page_query(scope, query), query.account_id, wanted)
    return page_answer(page, [convert.key(held) for held in page.items])


@router.get("/{key_id}", responses=problems(404))
async def retrieve(parts: GivenParts, scope: GivenScope, key_id: str) -> KeyAnswer:
    return convert.key(await parts.api_keys.get(scope, key_id))


@router.patch("/{key_id}", responses=problems(404))
async def update(parts: GivenParts, scope: GivenScope, key_id: str, body: KeyChange) -> KeyAnswer:
    """Another name, end, scopes or models; null takes an end, scopes or models away."""
    return convert.key(await parts.api_keys.change(scope, key_id, convert.changes(body)))


@router.post("/{key_id}/rotate", responses=problems(404, 409))
async def rotate(
    parts: GivenParts, scope: GivenAnyScope, attempt: GivenAttempt, key_id: str, body: KeyRotate
) -> KeyCreated:
    """A new secret under the same id; the one until now stays valid for a while. Every key may rotate itself."""
    grace = timedelta(seconds=body.grace_seconds)
    return convert.created_key(await parts.api_keys.rotate(scope, key_id, grace, attempt))


@router.delete("/{key_id}", responses=problems(404, 409))
async def revoke(parts: GivenParts, scope: GivenAnyScope, key_id: str) -> Deleted:
    """From now on nobody can use it. Every key may end itself."""
    await parts.api_keys.revoke(scope, key_id)
    return Deleted(count=1, success=True)
