"""/v4/accounts/{account_id}/members and /v4/service-accounts"""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from modelyard.control.people.members import ServiceAccountDraft
from modelyard.domain import emails
from modelyard.domain.accounts import Role
from modelyard.errors import InvalidRequest
from modelyard.http.api.convert import accounts as convert
from modelyard.http.api.given import GivenAttempt, GivenParts, GivenScope, problems
from modelyard.http.api.lists import page_answer, page_query
from modelyard.http.api.wire.accounts import (
    MemberAnswer,
    MemberChange,
    MemberCreate,
    MemberQuery,
    ServiceAccountAnswer,
    ServiceAccountChange,
    ServiceAccountCreate,
)
from modelyard.http.api.wire.common import Deleted, ListQuery, PageAnswer

router = APIRouter(prefix="/v4/accounts/{account_id}/members", tags=["Members"])
service_accounts = APIRouter(prefix="/v4/service-accounts", tags=["Service accounts"])


@router.post("", responses=problems(404, 409))
async def invite(
    parts: GivenParts, scope: GivenScope, attempt: GivenAttempt, account_id: str, body: MemberCreate
) -> MemberAnswer:
    """Invite a person by e-mail address. Nothing is sent: the membership is in force from their first sign-in on, or,
    where people do not sign in, once you made them a key."""
    return convert.member(await parts.members.invite(scope, account_id, convert.invitation(body), attempt))


@router.get("", responses=problems(404))
async def list_members(
    parts: GivenParts, scope: GivenScope, account_id: str, query: Annotated[MemberQuery, Query()]
) -> PageAnswer[MemberAnswer]:
    """People and service accounts, newest first."""
    page = await parts.members.page(scope, account_id, page_query(scope, query, _filters(query)))
    return page_answer(page, [convert.member(member) for member in page.items])


@router.get("/{user_id}", responses=problems(404))
async def member(parts: GivenParts, scope: GivenScope, account_id: str, user_id: str) -> MemberAnswer:
    return convert.member(await parts.members.get(scope, account_id, user_id))


@router.patch("/{user_id}", responses=problems(404, 409))
async def change_member(
    parts: GivenParts, scope: GivenScope, account_id: str, user_id: str, body: MemberChange
) -> MemberAnswer:
    """Another role, or disabled, or active again. The last active admin stays one."""
    return convert.member(await parts.members.change(scope, account_id, user_id, convert.member_change(body)))


@router.delete("/{user_id}", responses=problems(404, 409))
async def remove_member(parts: GivenParts, scope: GivenScope, account_id: str, user_id: str) -> Deleted:
    """Out of this account; who is in no other one loses all keys. The last active admin stays."""
    await parts.members.remove(scope, account_id, user_id)
    return Deleted(count=1, success=True)


@service_accounts.post("", responses=problems(404, 409))
async def create_service_account(
    parts: GivenParts, scope: GivenScope, attempt: GivenAttempt, body: ServiceAccountCreate
) -> ServiceAccountAnswer:
    """An identity for a program, with one role in one account. Its keys are made with POST /v4/api-keys."""
    account_id = await parts.members.account_for_new(scope, body.account_id)
    draft = ServiceAccountDraft(body.name, Role(body.role))
    return convert.service_account(await parts.members.make_service_account(scope, account_id, draft, attempt))


@service_accounts.get("", responses=problems(404))
async def list_service_accounts(
    parts: GivenParts, scope: GivenScope, query: Annotated[ListQuery, Query()]
) -> PageAnswer[ServiceAccountAnswer]:
    """Those of the accounts that you administer."""
    page = await parts.members.service_accounts(scope, query.account_id, page_query(scope, query))
    return page_answer(page, [convert.service_account(member) for member in page.items])


@service_accounts.get("/{service_account_id}", responses=problems(404))
async def service_account(parts: GivenParts, scope: GivenScope, service_account_id: str) -> ServiceAccountAnswer:
    account_id = await parts.members.place_of(scope, service_account_id)
    return convert.service_account(await parts.members.get(scope, account_id, service_account_id))


@service_accounts.patch("/{service_account_id}", responses=problems(404, 409))
async def change_service_account(
    parts: GivenParts, scope: GivenScope, service_account_id: str, body: ServiceAccountChange
) -> ServiceAccountAnswer:
    account_id = await parts.members.place_of(scope, service_account_id)
    change = convert.member_change(body)
    return convert.service_account(await parts.members.change(scope, account_id, service_account_id, change))


@service_accounts.delete("/{service_account_id}", responses=problems(404, 409))
async def delete_service_account(parts: GivenParts, scope: GivenScope, service_account_id: str) -> Deleted:
    """Its keys end at once; what it made stays, and stays its own."""
    account_id = await parts.members.place_of(scope, service_account_id)
    await parts.members.remove(scope, account_id, service_account_id)
    return Deleted(count=1, success=True)


def _filters(query: MemberQuery) -> dict[str, Any]:
    email = query.email
    if email is not None:
        try:
            email = emails.normal(email)
        except ValueError as error:
            raise InvalidRequest.at("query", "email", msg=f"is no e-mail address: {error}") from error
    return {"role": query.role, "state": query.status, "type": query.type, "email": email}
