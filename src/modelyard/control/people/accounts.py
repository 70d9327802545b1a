"""What the API tells of people and accounts, and what may be changed about them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import uuid4

from modelyard.clock import Clock
from modelyard.control.idempotency import Attempt, create_once
from modelyard.control.people.key_checks import refuse_last_administrator
from modelyard.control.people.oversight import account_in_sight, account_to_administer
from modelyard.control.scope import Scope, require_scope
from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, Account, Identity, Membership, Right, Role
from modelyard.errors import Forbidden, NotFound
from modelyard.store import Page, Store, Transaction
from modelyard.store.paging import PageQuery


@dataclass(frozen=True, slots=True)
class UserChange:
    """What is None stays as it is."""

    first_name: str | None = None
    last_name: str | None = None
    is_administrator: bool | None = None


class Accounts:
    def __init__(
        self, store: Store, clock: Clock, forget: Callable[[str | None], None], *, people_sign_in: bool = False
    ) -> None:
        """``forget``: called with the id of an identity whose rights changed; None: of anybody. ``people_sign_in``:
        whether there is a way in without a key."""
        self._people_sign_in = people_sign_in
        self._store = store
        self._clock = clock
        self._forget = forget

    async def me(self, scope: Scope) -> Identity:
        async with self._store.read() as tx:
            return await tx.accounts.identity(scope.caller.identity_id)

    async def user(self, scope: Scope, identity_id: str) -> Identity:
        """Somebody who shares an account with the caller, with the memberships they share; `NotFound` otherwise."""
        if identity_id == scope.caller.identity_id:
            return await self.me(scope)
        async with self._store.read() as tx:
            return await _in_sight(tx, scope, identity_id)

    async def change_user(self, scope: Scope, identity_id: str, change: UserChange) -> Identity:
        """Everybody may change the own names; the rest is for administrators of the installation, of whom one stays:
        `Conflict` (last_administrator)."""
        administrator = scope.caller.is_administrator and scope.caller.lets_through(Right.ADMIN)
        async with self._store.begin() as tx:
            identity = await _in_sight(tx, scope, identity_id)
            if not administrator and (change.is_administrator is not None or identity_id != scope.caller.identity_id):
                raise _not_administrator("change other people, or make them administrators")
            require_scope(scope.caller, Right.ADMIN)
            if change.is_administrator is False and identity.is_administrator:
                now, signs_in = self._clock.now(), self._people_sign_in
                await refuse_last_administrator(tx, identity_id, now, people_sign_in=signs_in)
            sent = {name: getattr(change, name) for name in change.__slots__ if getattr(change, name) is not None}
            changed = replace(identity, **sent)
            await tx.accounts.set_identity(changed)
        self._forget(identity_id)
        return changed

    async def create(self, scope: Scope, name: str, attempt: Attempt) -> Account:
        """A new account, in which the caller becomes admin. For administrators of the installation only."""
        if not scope.caller.is_administrator:
            raise Forbidden("Only administrators of the installation make accounts.", code="administrator_needed")
        require_scope(scope.caller, Right.AUDIT)
        now = self._clock.now()
        account = Account(id=str(uuid4()), name=name, created_at=now)

        async def make(tx: Transaction) -> Account:
            await tx.accounts.add_account(account)
            await tx.accounts.add_membership(
                Membership(str(uuid4()), account, scope.caller.identity_id, scope.caller.identity_type, Role.ADMIN)
            )
            return account

        async def again(tx: Transaction, account_id: str) -> Account:
            return await tx.accounts.account(account_id)

        made = await create_once(self._store, attempt, now, make=make, again=again)
        self._forget(scope.caller.identity_id)
        return made

    async def page(self, scope: Scope, query: PageQuery) -> Page[Account]:
        """The caller's accounts; all of them, the platform's own included, for administrators of the installation."""
        everything = scope.caller.is_administrator and scope.selected is None
        own = tuple(scope.caller.roles) if scope.selected is None else (scope.selected,)
        async with self._store.read() as tx:
            return await tx.accounts.accounts_page(replace(query, accounts=None if everything else own))

    async def get(self, scope: Scope, account_id: str) -> Account:
        async with self._store.read() as tx:
            if account_id == PLATFORM_ACCOUNT_ID and scope.caller.sees(account_id):
                return await tx.accounts.account(account_id)
            return await account_in_sight(tx, scope, account_id)

    async def change(self, scope: Scope, account_id: str, name: str | None, status: str | None) -> Account:
        """Its admins give it another name; only administrators of the installation close it and open it again."""
        async with self._store.begin() as tx:
            account = await account_to_administer(tx, scope, account_id, Right.AUDIT)
            if status is not None and not scope.caller.is_administrator:
                raise _not_administrator("disable accounts")
            changed = replace(account, name=name or account.name, status=status or account.status)
            await tx.accounts.set_account(changed)
        self._forget(None)
        return changed


async def _in_sight(tx: Transaction, scope: Scope, identity_id: str) -> Identity:
    unknown = NotFound(f"There is no user '{identity_id}'.", code="user_not_found")
    try:
        identity = await tx.accounts.identity(identity_id)
    except NotFound as error:
        raise unknown from error
    if scope.caller.is_administrator or identity_id == scope.caller.identity_id:
        return identity
    shared = tuple(each for each in identity.memberships if scope.caller.sees(each.account.id))
    shared = tuple(each for each in shared if each.account.id != PLATFORM_ACCOUNT_ID)
    if not shared:
        raise unknown
    return replace(identity, memberships=shared)


def _not_administrator(what: str) -> Forbidden:
    return Forbidden(f"Only administrators of the installation {what}.", code="administrator_needed")
