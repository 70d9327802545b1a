"""What the API tells of people and accounts."""

from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

from modelyard.clock import Clock
from modelyard.control.idempotency import Attempt, create_once
from modelyard.control.scope import Scope
from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, Account, Identity, Membership, Right, Role
from modelyard.errors import Forbidden, NotFound
from modelyard.store import Store, Transaction


class Accounts:
    def __init__(self, store: Store, clock: Clock, forget: Callable[[str], None]) -> None:
        """``forget``: called with the id of an identity whose memberships changed."""
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
        unknown = NotFound(f"There is no user '{identity_id}'.", code="user_not_found")
        try:
            async with self._store.read() as tx:
                identity = await tx.accounts.identity(identity_id)
        except NotFound as error:
            raise unknown from error
        shared = tuple(each for each in identity.memberships if scope.caller.can(Right.READ, each.account.id))
        shared = tuple(each for each in shared if each.account.id != PLATFORM_ACCOUNT_ID)
        if not shared:
            raise unknown
        return replace(identity, memberships=shared)

    async def create(self, scope: Scope, name: str, attempt: Attempt) -> Account:
        """A new account, in which the caller becomes admin. For administrators of the installation only."""
        if not scope.caller.is_administrator:
            raise Forbidden("Only administrators of the installation make accounts.", code="administrator_needed")
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
