"""/user-info, /users, /accounts (also under /v4), and /v4/api-keys"""

from typing import Annotated

from fastapi import APIRouter, Query

from modelyard.http.api.convert import accounts as convert
from modelyard.http.api.given import GivenAttempt, GivenParts, GivenScope, problems
from modelyard.http.api.lists import page_answer
from modelyard.http.api.wire.accounts import (
    AccountCreate,
    AccountCreated,
    KeyAnswer,
    KeyCreate,
    KeyCreated,
    KeyQuery,
    UserAnswer,
)
from modelyard.http.api.wire.common import Deleted, PageAnswer

people = APIRouter(tags=["Who am I"])
keys = APIRouter(prefix="/v4/api-keys", tags=["API keys"])


@people.get("/user-info", responses=problems())
async def user_info(parts: GivenParts, scope: GivenScope) -> UserAnswer:
    """Whose key this is, and in which accounts with which role."""
    return convert.user(await parts.accounts.me(scope))


@people.get("/users/{user_id}", responses=problems(404))
async def user(parts: GivenParts, scope: GivenScope, user_id: str) -> UserAnswer:
    """Somebody who shares an account with you."""
    return convert.user(await parts.accounts.user(scope, user_id))


@people.post("/accounts", responses=problems(409))
async def create_account(
    parts: GivenParts, scope: GivenScope, attempt: GivenAttempt, body: AccountCreate
) -> AccountCreated:
    """A new account, of which you are admin. For administrators of the installation."""
    return AccountCreated(account_id=(await parts.accounts.create(scope, body.account_name, attempt)).id)


@keys.post("", responses=problems(404, 409))
async def create_key(parts: GivenParts, scope: GivenScope, attempt: GivenAttempt, body: KeyCreate) -> KeyCreated:
    """A service account with one role in one account, and its key, which is shown this once."""
    return convert.created_key(await parts.api_keys.create(scope, convert.key_draft(body), attempt))


@keys.get("", responses=problems())
async def list_keys(parts: GivenParts, scope: GivenScope, query: Annotated[KeyQuery, Query()]) -> PageAnswer[KeyAnswer]:
    """The keys of the accounts that you administer."""
    page = await parts.api_keys.page(scope, query.account_id, query.page, query.limit)
    return page_answer(page, [convert.key(held) for held in page.items])


@keys.delete("/{key_id}", responses=problems(404))
async def revoke_key(parts: GivenParts, scope: GivenScope, key_id: str) -> Deleted:
    """From now on nobody can use it."""
    await parts.api_keys.revoke(scope, key_id)
    return Deleted(count=1, success=True)
