"""/user-info, /users and POST /accounts (also under /v4), and /v4/accounts"""

from typing import Annotated

from fastapi import APIRouter, Query

from modelyard.control.people.accounts import UserChange as Change
from modelyard.http.api.convert import accounts as convert
from modelyard.http.api.given import GivenAnyScope, GivenAttempt, GivenParts, GivenScope, problems
from modelyard.http.api.lists import page_answer, page_query
from modelyard.http.api.wire.accounts import (
    AccountChange,
    AccountCreate,
    AccountCreated,
    AccountDetail,
    AccountQuery,
    UserAnswer,
    UserChange,
)
from modelyard.http.api.wire.common import PageAnswer

people = APIRouter(tags=["Who am I"])
router = APIRouter(prefix="/v4", tags=["Accounts"])


@people.get("/user-info", responses=problems())
async def user_info(parts: GivenParts, scope: GivenAnyScope) -> UserAnswer:
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


@router.patch("/users/{user_id}", responses=problems(404, 409))
async def change_user(parts: GivenParts, scope: GivenScope, user_id: str, body: UserChange) -> UserAnswer:
    """Your own names; for administrators of the installation, anybody's, and who else is one."""
    change = Change(body.first_name, body.last_name, body.is_deployment_admin)
    return convert.user(await parts.accounts.change_user(scope, user_id, change))


@router.get("/accounts", responses=problems())
async def list_accounts(
    parts: GivenParts, scope: GivenScope, query: Annotated[AccountQuery, Query()]
) -> PageAnswer[AccountDetail]:
    """The accounts that you belong to; all, for administrators of the installation."""
    page = await parts.accounts.page(scope, page_query(scope, query))
    return page_answer(page, [convert.account(account) for account in page.items])


@router.get("/accounts/{account_id}", responses=problems(404))
async def account(parts: GivenParts, scope: GivenScope, account_id: str) -> AccountDetail:
    return convert.account(await parts.accounts.get(scope, account_id))


@router.patch("/accounts/{account_id}", responses=problems(404))
async def change_account(parts: GivenParts, scope: GivenScope, account_id: str, body: AccountChange) -> AccountDetail:
    """Another name, by its admins. Administrators of the installation disable it, which takes every right in it away
    and deletes nothing."""
    return convert.account(await parts.accounts.change(scope, account_id, body.name, body.status))
