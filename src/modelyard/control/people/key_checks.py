"""Who may make, change and end whose keys. Nobody gets more through a key than he had before."""

from datetime import datetime

from modelyard.control.scope import Scope, require_scope
from modelyard.domain.accounts import ApiKey, Caller, Identity, IdentityType, MemberState, Right
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
        identity = await _in_sight(tx, scope, key.identity_id, invited=False)
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


async def refuse_last_key(tx: Transaction, before: ApiKey, after: ApiKey | None, now: datetime) -> None:
    """Raise `Conflict` where no administrator of the installation would have a key any more that can do all that
    administrators do, nor a way to get one. One without an end is given up only for another one without an end."""
    if after is not None and _reaches(_mastery(after), _mastery(before)):
        return
    await tx.accounts.hold_administrators()
    others = [key for key in await tx.accounts.keys_of_administrators(now) if key.id != before.id]
    _require_mastery(others, [before])


async def refuse_last_administrator(tx: Transaction, identity_id: str, now: datetime, *, people_sign_in: bool) -> None:
    """Raise `Conflict` where nobody else administers the installation, or nobody who could come in."""
    if await tx.accounts.hold_administrators() == [identity_id]:
        raise Conflict(
            "This is the last administrator of the installation.",
            code="last_administrator",
            hint="Make somebody else administrator first.",
        )
    if not people_sign_in:
        keys = await tx.accounts.keys_of_administrators(now)
        own = [key for key in keys if key.identity_id == identity_id]
        _require_mastery([key for key in keys if key.identity_id != identity_id], own)


_Mastery = tuple[int, int]


def _mastery(key: ApiKey) -> _Mastery:
    """What an administrator's key is worth for governing, and for making keys that can do everything, which one that is
    narrowed cannot: nothing, something until its end, all."""
    rights, worth = rights_through(key.scopes), 2 if key.expires_at is None else 1
    governs = rights >= {Right.ADMIN, Right.AUDIT}
    whole = rights == frozenset(Right) and key.models is None
    return worth if governs else 0, worth if whole else 0


def _best(keys: list[ApiKey]) -> _Mastery:
    each = [(0, 0), *map(_mastery, keys)]
    return max(governs for governs, _ in each), max(whole for _, whole in each)


def _reaches(mastery: _Mastery, least: _Mastery) -> bool:
    return mastery[0] >= least[0] and mastery[1] >= least[1]


def _require_mastery(left: list[ApiKey], gone: list[ApiKey]) -> None:
    if not _reaches(_best(left), _best(gone)):
        raise Conflict(
            "No administrator of the installation would have a key any more that can do everything and has no end, and "
            "nobody can sign in without one.",
            code="last_administrator",
            hint="Make another such key for an administrator first, or rotate this one.",
        )


async def _in_sight(tx: Transaction, scope: Scope, identity_id: str, *, invited: bool = True) -> Identity:
    """``invited``: whether an invitation makes somebody visible. The keys that an invited person has already are none
    of the inviting account's business: anybody may be invited."""
    caller = scope.caller
    identity = await tx.accounts.identity(identity_id)
    mine = identity.id == caller.identity_id or caller.is_administrator
    places = [each for each in identity.memberships if invited or each.state is not MemberState.INVITED]
    if not mine and not any(_administers(scope, each.account.id) for each in places):
        raise NotFound(f"There is no user '{identity_id}'.", code="user_not_found")
    return identity


def _administers(scope: Scope, account_id: str) -> bool:
    # By the role alone: what the key's scopes forbid is told as such.
    return bool(GRANTS.get(scope.caller.roles.get(account_id, Role.DISABLED)))
