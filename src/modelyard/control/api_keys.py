"""Making, listing and revoking API keys."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from modelyard.clock import Clock
from modelyard.control.idempotency import Attempt, create_once
from modelyard.control.keys import digest_of
from modelyard.control.scope import Scope, unknown_account
from modelyard.domain.accounts import ApiKey, Identity, IdentityType, Membership, Right, Role
from modelyard.errors import Conflict, Forbidden, InvalidRequest, NotFound
from modelyard.store import Page, Store, Transaction

PREFIX = "my"
GRANTABLE = (Role.ADMIN, Role.MANAGER, Role.EDITOR, Role.MEMBER, Role.VIEWER, Role.LABELER)


@dataclass(frozen=True, slots=True)
class KeyDraft:
    name: str
    account_id: str | None = None
    role: Role = Role.MEMBER
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key and whoever holds it; the secret itself only when it was made this moment."""

    key: ApiKey
    identity: Identity
    secret: str | None = None


def new_key(
    identity_id: str, name: str, now: datetime, *, secret: str | None = None, expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """A key record and the key itself: ``my_<id>_<secret>``, 256 bits of it random, or ``secret`` as given."""
    key_id = str(uuid4())
    prefix = f"{PREFIX}_{key_id.partition('-')[0]}"
    text = secret or f"{prefix}_{secrets.token_urlsafe(32)}"
    shown = prefix if secret is None else text[:4]
    return ApiKey(key_id, identity_id, name, shown, digest_of(text), now, expires_at), text


class ApiKeys:
    """Keys, as those who administer accounts see them."""

    def __init__(self, store: Store, clock: Clock, forget: Callable[[str], None]) -> None:
        """``forget``: called with the id of a key that was revoked."""
        self._store = store
        self._clock = clock
        self._forget = forget

    async def create(self, scope: Scope, draft: KeyDraft, attempt: Attempt) -> HeldKey:
        """A service account with ``draft.role`` in one account, and its only key. Repeating the call cannot show
        the key again and makes no second one: `Conflict`."""
        account_id = _account_of(scope, draft.account_id)
        now = self._clock.now()
        if draft.expires_at is not None and draft.expires_at <= now:
            raise InvalidRequest.at("body", "expires_at", msg="must be in the future")
        identity_id = str(uuid4())
        key, secret = new_key(identity_id, draft.name, now, expires_at=draft.expires_at)

        async def make(tx: Transaction) -> HeldKey:
            account = await tx.accounts.account(account_id)
            kind = IdentityType.SERVICE_ACCOUNT
            membership = Membership(str(uuid4()), account, identity_id, kind, draft.role)
            email = f"{identity_id}@service-accounts.modelyard.invalid"
            identity = Identity(identity_id, kind, email, now, first_name=draft.name, memberships=(membership,))
            await tx.accounts.add_identity(identity)
            await tx.accounts.add_membership(membership)
            await tx.accounts.add_key(key)
            return HeldKey(key, identity, secret)

        async def again(_: Transaction, key_id: str) -> HeldKey:
            raise Conflict(
                f"This call made the key {key_id} before, and a key is shown only once.",
                code="key_shown_before",
                hint=f"DELETE /v4/api-keys/{key_id}, and make another.",
            )

        return await create_once(self._store, attempt, now, make=make, again=again, id_of=lambda held: held.key.id)

    async def page(self, scope: Scope, account_id: str | None, page: int, limit: int) -> Page[HeldKey]:
        """The keys of the accounts that the caller administers, newest first; revoked ones are left out."""
        accounts = [each for each in scope.narrowed(account_id) if scope.caller.can(Right.ADMIN, each)]
        if not accounts:
            raise _not_administering(scope)
        async with self._store.read() as tx:
            keys = [key for key in await tx.accounts.keys(accounts) if key.revoked_at is None]
            wanted = keys[(page - 1) * limit : page * limit]
            items = [HeldKey(key, _as_seen(scope, await tx.accounts.identity(key.identity_id))) for key in wanted]
        return Page(items, len(keys), page, limit)

    async def revoke(self, scope: Scope, key_id: str) -> None:
        """Nobody can use the key from now on; elsewhere within the time a key is believed (a setting)."""
        unknown = NotFound(f"There is no key '{key_id}'.", code="key_not_found")
        async with self._store.begin() as tx:
            try:
                key = await tx.accounts.key(key_id)
                identity = await tx.accounts.identity(key.identity_id)
            except NotFound as error:
                raise unknown from error
            if key.revoked_at is not None or not _may_see(scope, identity):
                raise unknown
            if not _may_revoke(scope, identity):
                raise Forbidden(
                    "This key belongs to somebody with rights beyond yours.",
                    code="role_too_low",
                    hint="An administrator of the installation can revoke it.",
                )
            await tx.accounts.revoke_key(key_id, self._clock.now())
        self._forget(key_id)


def _account_of(scope: Scope, wanted: str | None) -> str:
    accounts = [each for each in scope.own_accounts if scope.caller.can(Right.ADMIN, each)]
    if wanted is not None:
        if wanted not in scope.caller.roles:
            raise unknown_account(wanted)
        scope.require(Right.ADMIN, wanted)
        return wanted
    if not accounts:
        raise _not_administering(scope)
    if len(accounts) > 1:
        raise InvalidRequest.at(
            "body", "account_id", msg="this key administers several accounts; say which", type="missing"
        )
    return accounts[0]


def _as_seen(scope: Scope, identity: Identity) -> Identity:
    """Without the memberships in accounts that are none of the caller's business."""
    if scope.caller.is_administrator:
        return identity
    shown = tuple(each for each in identity.memberships if scope.caller.can(Right.ADMIN, each.account.id))
    return replace(identity, memberships=shown)


def _may_see(scope: Scope, identity: Identity) -> bool:
    return identity.id == scope.caller.identity_id or any(
        scope.caller.can(Right.ADMIN, each.account.id) for each in identity.memberships
    )


def _may_revoke(scope: Scope, identity: Identity) -> bool:
    if scope.caller.is_administrator or identity.id == scope.caller.identity_id:
        return True
    everywhere = all(scope.caller.can(Right.ADMIN, each.account.id) for each in identity.memberships)
    return everywhere and not identity.is_administrator


def _not_administering(scope: Scope) -> Forbidden:
    role = ", ".join(sorted(set(scope.caller.roles.values()))) or "none"
    return Forbidden(
        f"Keys are managed with the role admin or manager; this key's role is {role}.", code="role_too_low"
    )
