"""Making, listing, narrowing, rotating and revoking API keys."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from modelyard.clock import Clock
from modelyard.control.idempotency import Attempt, create_once
from modelyard.control.people.key_checks import (
    check_draft,
    holder_for_new,
    key_in_sight,
    refuse_last_key,
    require_hold,
    require_narrower,
)
from modelyard.control.people.keys import digest_of
from modelyard.control.people.members import ServiceAccountDraft, new_service_account
from modelyard.control.people.oversight import account_for_new, as_seen, put
from modelyard.control.scope import Scope, require_scope
from modelyard.domain import secrets
from modelyard.domain.accounts import ApiKey, Identity, KeyKind, MemberState, Right, Role
from modelyard.domain.rights import KeyScope
from modelyard.errors import Conflict
from modelyard.store import Page, Store, Transaction
from modelyard.store.paging import PageQuery


@dataclass(frozen=True, slots=True)
class KeyDraft:
    name: str
    account_id: str | None = None
    role: Role = Role.MEMBER
    expires_at: datetime | None = None
    identity_id: str | None = None
    """Whose key it is to be; None: that of a new service account, with ``role`` in ``account_id``."""
    scopes: tuple[KeyScope, ...] | None = None
    models: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key and whoever holds it; the secret itself only when it was made this moment."""

    key: ApiKey
    identity: Identity
    secret: str | None = None


def new_key(
    identity_id: str, name: str, now: datetime, *, secret: str | None = None, **more: Any
) -> tuple[ApiKey, str]:
    """A key record and the key itself, as `modelyard.domain.secrets` says, or ``secret`` as given."""
    key_id = str(uuid4())
    text = secret or secrets.new_secret(key_id)
    return ApiKey(key_id, identity_id, name, secrets.shown(text), digest_of(text), now, **more), text


class ApiKeys:
    """Keys: everybody's own, and those of the people and programs that a caller administers."""

    def __init__(
        self, store: Store, clock: Clock, forget: Callable[[str], None], *, people_sign_in: bool = False
    ) -> None:
        """``forget``: called with the id of a key that is not what it was. ``people_sign_in``: whether people can get
        keys for themselves, so that nobody needs to make them for others."""
        self._store = store
        self._clock = clock
        self._forget = forget
        self._people_sign_in = people_sign_in

    async def create(self, scope: Scope, draft: KeyDraft, attempt: Attempt) -> HeldKey:
        """A key of the identity that the draft names, or of a new service account. Repeating the call cannot show the
        key again and makes no second one: `Conflict`."""
        require_scope(scope.caller, Right.ADMIN)
        now = self._clock.now()
        check_draft(draft.expires_at, now)
        require_narrower(scope.caller, draft.scopes, draft.models)

        async def make(tx: Transaction) -> HeldKey:
            identity = await self._holder(tx, scope, draft, now)
            key, secret = new_key(identity.id, draft.name, now)
            key = replace(key, expires_at=draft.expires_at, scopes=draft.scopes, models=draft.models)
            await tx.accounts.add_key(key)
            return HeldKey(key, as_seen(scope, identity), secret)

        async def again(_: Transaction, key_id: str) -> HeldKey:
            raise _shown_before(key_id)

        return await create_once(self._store, attempt, now, make=make, again=again, id_of=lambda held: held.key.id)

    async def _holder(self, tx: Transaction, scope: Scope, draft: KeyDraft, now: datetime) -> Identity:
        if draft.identity_id is None:
            account = await account_for_new(tx, scope, draft.account_id)
            service = ServiceAccountDraft(draft.name, draft.role)
            return (await new_service_account(tx, scope, account, service, now)).identity
        identity = await holder_for_new(tx, scope, draft.identity_id, people_sign_in=self._people_sign_in)
        # Without sign-in this is how people come in: who is handed a key is no longer only invited.
        for membership in identity.memberships:
            if membership.state is MemberState.INVITED and not self._people_sign_in:
                await put(tx, membership, replace(membership, state=MemberState.ACTIVE))
        return await tx.accounts.identity(identity.id)

    async def page(
        self, scope: Scope, query: PageQuery, account_id: str | None = None, identity_id: str | None = None
    ) -> Page[HeldKey]:
        """The caller's own keys and those of the members of the accounts that it administers; revoked ones are left
        out. ``account_id``: only those of this account's members, ``identity_id``: only this one's."""
        caller = scope.caller
        accounts = tuple(each for each in scope.own_accounts if caller.can(Right.ADMIN, each))
        everything = caller.is_administrator and scope.selected is None
        if account_id is not None:
            query = replace(query, accounts=(account_id,) if everything or account_id in accounts else ())
        else:
            query = replace(query, accounts=None if everything else accounts)
        own = caller.identity_id if account_id is None or account_id in caller.roles else ""
        async with self._store.read() as tx:
            page = await tx.accounts.keys_page(query, own=own, of=identity_id)
            holders = await tx.accounts.identities(sorted({key.identity_id for key in page.items}))
        items = [HeldKey(key, as_seen(scope, holders[key.identity_id])) for key in page.items]
        return Page(items, page.total, page.page, page.limit)

    async def get(self, scope: Scope, key_id: str) -> HeldKey:
        async with self._store.read() as tx:
            key, identity = await key_in_sight(tx, scope, key_id)
        return HeldKey(key, as_seen(scope, identity))

    async def change(self, scope: Scope, key_id: str, changes: Mapping[str, Any]) -> HeldKey:
        """Another name, end, scopes or models; never more than the caller's own key lets through."""
        require_scope(scope.caller, Right.ADMIN)
        async with self._store.begin() as tx:
            key, identity = await key_in_sight(tx, scope, key_id)
            require_hold(scope, identity)
            changed = replace(key, **changes)
            if changed.expires_at != key.expires_at:
                check_draft(changed.expires_at, self._clock.now())
            require_narrower(scope.caller, changed.scopes, changed.models)
            await self._keep_a_way_in(tx, identity, key, changed)
            await tx.accounts.set_key(changed)
        self._forget(key_id)
        return HeldKey(changed, as_seen(scope, identity))

    async def rotate(self, scope: Scope, key_id: str, grace: timedelta, attempt: Attempt) -> HeldKey:
        """A new secret under the same id; the one until now stays valid for ``grace``. A key may rotate itself,
        whatever its scopes. Repeating the call rotates nothing twice: `Conflict`."""
        now = self._clock.now()

        async def make(tx: Transaction) -> HeldKey:
            key, identity = await key_in_sight(tx, scope, key_id)
            require_hold(scope, identity, key)
            if key.kind is KeyKind.SESSION:
                raise Conflict("This is a session; sign in again instead.", code="session_not_rotated")
            secret = secrets.new_secret(key.id)
            after = replace(key, digest=digest_of(secret), prefix=secrets.shown(secret))
            await tx.accounts.rotate_key(key, after, now, grace)
            return HeldKey(after, as_seen(scope, identity), secret)

        async def again(_: Transaction, key_id: str) -> HeldKey:
            raise _shown_before(key_id)

        held = await create_once(self._store, attempt, now, make=make, again=again, id_of=lambda held: held.key.id)
        self._forget(key_id)
        return held

    async def revoke(self, scope: Scope, key_id: str) -> None:
        """Nobody can use the key from now on; elsewhere within the time a key is believed (a setting)."""
        async with self._store.begin() as tx:
            key, identity = await key_in_sight(tx, scope, key_id)
            require_hold(scope, identity, key)
            await self._keep_a_way_in(tx, identity, key, None)
            await tx.accounts.revoke_key(key_id, self._clock.now())
        self._forget(key_id)

    async def _keep_a_way_in(self, tx: Transaction, identity: Identity, before: ApiKey, after: ApiKey | None) -> None:
        if identity.is_administrator and not self._people_sign_in and before.kind is KeyKind.KEY:
            await refuse_last_key(tx, before, after, self._clock.now())


def _shown_before(key_id: str) -> Conflict:
    return Conflict(
        f"This call made the key {key_id} before, and a key is shown only once.",
        code="key_shown_before",
        hint=f"Rotate it (POST /v4/api-keys/{key_id}/rotate), or delete it and make another.",
    )
