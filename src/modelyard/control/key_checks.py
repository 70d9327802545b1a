"""Who may make, change and end whose keys. Nobody gets more through a key than he had before."""

from datetime import datetime

from modelyard.control.scope import Scope, require_scope
from modelyard.domain.accounts import ApiKey, Caller, Identity, IdentityType, Right
from modelyard.domain.rights import GRANTS, KeyScope, Role, rights_through
from modelyard.errors import Conflict, Forbidden, InvalidRequest, NotFound
from modelyard.store import Transaction

ME = "me"
"""As an identity's id: the caller."""


def check_draft(expires_at: datetime | None, now: datetime) -> None:
    """Raise `InvalidRequest` for an end that is past already."""
    if expires_at is not None and expires_at <= now:
        raise InvalidRequest.at("body", "expires_at", msg="must be in the future")


def require_narrower(caller: Caller, scopes: tuple[KeyScope, ...] | None, models: tuple[str, ...] | None) -> None:
    """Raise `Forbidden` where a key would let more through than the one that makes or changes it."""
    if not rights_through(scopes) <= rights_through(caller.scopes):
        raise Forbidden(
            "A key cannot give scopes that it does not have itself.",
            code="scope_missing",
            hint=f"Give at most these scopes: {', '.join(caller.scopes or ())}.",
        )
    if caller.models is not None and (models is None or not caller.models.issuperset(models)):
        raise Forbidden(
            "A key that is narrowed to some models makes keys for those alone.",
            code="scope_missing",
            hint=f"Give at most these models: {', '.join(sorted(caller.models))}.",
        )


async def holder_for_new(tx: Transaction, scope: Scope, identity_id: str, *, people_sign_in: bool) -> Identity:
    """The identity that is to hold a new key: the caller, or a service account, or (where people cannot sign in and
    make their own) a person that the caller administers entirely."""
    caller = scope.caller
    if identity_id in (ME, caller.identity_id):
        return await tx.accounts.identity(caller.identity_id)
    identity = await _in_sight(tx, scope, identity_id)
    require_hold(scope, identity)
    if people_sign_in and identity.type is IdentityType.USER:
        raise Forbidden(
            "People make their own keys.",
            code="personal_key",
            hint=f"{identity.email} signs in and makes one; for a program make a service account.",
        )
    return identity


async def key_in_sight(tx: Transaction, scope: Scope, key_id: str) -> tuple[ApiKey, Identity]:
    """A key that is in force, and whose it is: the caller's own, or of somebody that the caller administers somewhere.
    `NotFound` otherwise."""
    unknown = NotFound(f"There is no key '{key_id}'.", code="key_not_found")
    try:
        key = await tx.accounts.key(key_id)
        identity = await _in_sight(tx, scope, key.identity_id)
    except NotFound as error:
        raise unknown from error
    if key.revoked_at is not None:
        raise unknown
    return key, identity


def require_hold(scope: Scope, identity: Identity, key: ApiKey | None = None) -> None:
    """Raise `Forbidden` unless the caller may do as it likes with the identity's keys: its own, or those of somebody
    whose every role it may grant. ``key``: the key in question, which may always rotate and end itself."""
    caller = scope.caller
    if key is not None and key.id == caller.key_id:
        return
    require_scope(caller, Right.ADMIN)
    if caller.is_administrator or identity.id == caller.identity_id:
        return
    everywhere = all(caller.may_grant(each.role, each.account.id) for each in identity.memberships)
    if identity.is_administrator or not everywhere:
        raise Forbidden(
            "This key belongs to somebody with rights beyond yours.",
            code="role_too_low",
            hint="An administrator of the installation can do this.",
        )


async def refuse_last_key(tx: Transaction, key_id: str, now: datetime) -> None:
    """Raise `Conflict` where no administrator of the installation would have a key any more, nor a way to get one."""
    await tx.accounts.hold_administrators()
    if not await tx.accounts.any_key_of_an_administrator(key_id, now):
        raise Conflict(
            "This is the last key of the last administrator, and nobody can sign in without one.",
            code="last_administrator",
            hint="Make another key first, or rotate this one.",
        )


async def _in_sight(tx: Transaction, scope: Scope, identity_id: str) -> Identity:
    caller = scope.caller
    identity = await tx.accounts.identity(identity_id)
    mine = identity.id == caller.identity_id or caller.is_administrator
    if not mine and not any(_administers(scope, each.account.id) for each in identity.memberships):
        raise NotFound(f"There is no user '{identity_id}'.", code="user_not_found")
    return identity


def _administers(scope: Scope, account_id: str) -> bool:
    # By the role alone: what the key's scopes forbid is told as such.
    return bool(GRANTS.get(scope.caller.roles.get(account_id, Role.DISABLED)))
