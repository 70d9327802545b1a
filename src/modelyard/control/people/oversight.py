"""Whose people may a call look after: the checks that members, service accounts and keys have in common."""

from dataclasses import dataclass, replace

from modelyard.control.scope import Scope, refuse_built_in, require_scope, unknown_account
from modelyard.domain.accounts import Account, Identity, Membership, MemberState, Right, Role
from modelyard.errors import Conflict, Forbidden, InvalidRequest, NotFound
from modelyard.store import Transaction


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in one account."""

    identity: Identity
    membership: Membership


async def account_in_sight(tx: Transaction, scope: Scope, account_id: str) -> Account:
    """One of the caller's, or any for administrators of the installation; `NotFound` otherwise, in the same words."""
    caller = scope.caller
    visible = caller.is_administrator or account_id in caller.roles
    if not visible or scope.selected not in (None, account_id):
        raise unknown_account(account_id)
    try:
        return await tx.accounts.account(account_id)
    except NotFound as error:
        raise unknown_account(account_id) from error


async def account_to_administer(tx: Transaction, scope: Scope, account_id: str, right: Right = Right.ADMIN) -> Account:
    """As `account_in_sight`; raises `Forbidden` where the caller has not that right there."""
    account = await account_in_sight(tx, scope, account_id)
    refuse_built_in(account.id, "account")
    if not scope.caller.administers(account.id, right):
        scope.require(right, account.id)
    return account


async def account_for_new(tx: Transaction, scope: Scope, wanted: str | None) -> Account:
    """Where a new service account goes: the account named, else the only one that the caller administers."""
    if wanted is not None:
        return await account_to_administer(tx, scope, wanted)
    require_scope(scope.caller, Right.ADMIN)
    accounts = [each for each in scope.own_accounts if scope.caller.can(Right.ADMIN, each)]
    if not accounts:
        role = ", ".join(sorted(set(scope.caller.roles.values()))) or "none"
        raise Forbidden(
            f"Service accounts are made with the role admin or manager; this key's role is {role}.",
            code="role_too_low",
            hint='For a key of your own send "identity_id": "me".',
        )
    if len(accounts) > 1:
        msg = "this key administers several accounts; say which"
        raise InvalidRequest.at("body", "account_id", msg=msg, type="missing")
    return await account_to_administer(tx, scope, accounts[0])


async def member_of(tx: Transaction, account: Account, identity_id: str) -> Member:
    """`NotFound` where that is nobody in this account."""
    unknown = NotFound(f"There is no member '{identity_id}' in this account.", code="member_not_found")
    try:
        identity = await tx.accounts.identity(identity_id)
    except NotFound as error:
        raise unknown from error
    for membership in identity.memberships:
        if membership.account.id == account.id:
            return Member(identity, membership)
    raise unknown


def require_grant(scope: Scope, role: Role, account_id: str) -> None:
    """Raise `Forbidden` where the caller may not give this role there, nor touch who has it."""
    if not scope.caller.may_grant(role, account_id):
        own = scope.caller.roles.get(account_id, "none")
        raise Forbidden(
            f"The role '{own}' does not let you make, change or remove somebody with the role '{role}'.",
            code="role_too_low",
            hint="An admin of the account can.",
        )


async def put(tx: Transaction, before: Membership, after: Membership) -> None:
    """Change a membership. `Conflict` where it is the last admin's: whoever calls this holds the account, so that two
    admins who remove each other at the same moment do not both succeed."""
    if _governs(before) and not _governs(after):
        await refuse_last_admin(tx, before)
    if after != before:
        await tx.accounts.set_membership(after)


async def refuse_last_admin(tx: Transaction, membership: Membership) -> None:
    """Raise `Conflict` where nobody else is an active admin of the account, which whoever calls this holds."""
    if _governs(membership) and await tx.accounts.active_admins(membership.account.id) <= 1:
        raise Conflict(
            "This is the account's last active admin.",
            code="last_admin",
            hint="Make somebody else admin first.",
        )


def _governs(membership: Membership) -> bool:
    return membership.role is Role.ADMIN and membership.state is MemberState.ACTIVE


def as_seen(scope: Scope, identity: Identity) -> Identity:
    """Without the memberships in accounts that are none of the caller's business."""
    if scope.caller.is_administrator or identity.id == scope.caller.identity_id:
        return identity
    shown = tuple(each for each in identity.memberships if scope.caller.can(Right.ADMIN, each.account.id))
    return replace(identity, memberships=shown)
