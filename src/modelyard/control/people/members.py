"""The people and service accounts of an account: invited, given roles, disabled, removed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from modelyard.clock import Clock
from modelyard.control.idempotency import Attempt, create_once
from modelyard.control.people.oversight import (
    Member,
    account_for_new,
    account_to_administer,
    as_seen,
    member_of,
    put,
    refuse_last_admin,
    require_grant,
)
from modelyard.control.scope import Scope, require_scope
from modelyard.domain import emails
from modelyard.domain.accounts import Account, Identity, IdentityType, Membership, MemberState, Right, Role
from modelyard.errors import Conflict, InvalidRequest, NotFound
from modelyard.store import Page, Store, Transaction
from modelyard.store.paging import PageQuery

NO_MAIL = "service-accounts.modelyard.invalid"


@dataclass(frozen=True, slots=True)
class Invitation:
    email: str
    role: Role
    first_name: str | None = None
    last_name: str | None = None


@dataclass(frozen=True, slots=True)
class ServiceAccountDraft:
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class MemberChange:
    """What is None stays as it is."""

    role: Role | None = None
    state: MemberState | None = None
    name: str | None = None
    """Of a service account."""


class Members:
    def __init__(self, store: Store, clock: Clock, forget: Callable[[str], None]) -> None:
        """``forget``: called with the id of an identity whose memberships changed."""
        self._store = store
        self._clock = clock
        self._forget = forget

    async def page(self, scope: Scope, account_id: str, query: PageQuery) -> Page[Member]:
        """``query.where``: role, state, type or email."""
        async with self._store.read() as tx:
            account = await account_to_administer(tx, scope, account_id)
            page = await tx.accounts.members_page(replace(query, accounts=(account.id,)))
        return _seen(scope, page)

    async def service_accounts(self, scope: Scope, account_id: str | None, query: PageQuery) -> Page[Member]:
        """Those of one account, or of all that the caller administers."""
        caller = scope.caller
        require_scope(caller, Right.ADMIN)
        accounts: tuple[str, ...] | None = tuple(a for a in scope.own_accounts if caller.can(Right.ADMIN, a))
        if caller.is_administrator and scope.selected is None:
            accounts = None
        where = {**query.where, "type": IdentityType.SERVICE_ACCOUNT.value}
        async with self._store.read() as tx:
            if account_id is not None:
                accounts = ((await account_to_administer(tx, scope, account_id)).id,)
            elif accounts == ():
                await account_for_new(tx, scope, None)
            return _seen(scope, await tx.accounts.members_page(replace(query, accounts=accounts, where=where)))

    async def place_of(self, scope: Scope, service_account_id: str) -> str:
        """The account of a service account that the caller administers; `NotFound` otherwise."""
        unknown = NotFound(f"There is no service account '{service_account_id}'.", code="service_account_not_found")
        async with self._store.read() as tx:
            try:
                identity = await tx.accounts.identity(service_account_id)
            except NotFound as error:
                raise unknown from error
        if identity.type is not IdentityType.SERVICE_ACCOUNT:
            raise unknown
        for membership in identity.memberships:
            account_id = membership.account.id
            if scope.caller.is_administrator or account_id in scope.caller.roles:
                return account_id
        raise unknown

    async def get(self, scope: Scope, account_id: str, identity_id: str) -> Member:
        async with self._store.read() as tx:
            account = await account_to_administer(tx, scope, account_id)
            return await member_of(tx, account, identity_id)

    async def invite(self, scope: Scope, account_id: str, invitation: Invitation, attempt: Attempt) -> Member:
        """A person, by e-mail address, who is a member from the first sign-in on; `Conflict` (already_member) where
        that address is a member's already, however it is written."""
        email = _email(invitation.email)
        now = self._clock.now()

        async def make(tx: Transaction) -> Member:
            account = await account_to_administer(tx, scope, account_id)
            require_grant(scope, invitation.role, account.id)
            identity = await tx.accounts.identity_with_email(email) or await _person(tx, email, invitation, now)
            if any(each.account.id == account.id for each in identity.memberships):
                raise Conflict(
                    f"{email} is a member of this account already.",
                    code="already_member",
                    hint=f"Change the role with PATCH /v4/accounts/{account.id}/members/{identity.id}.",
                )
            return await _joined(tx, account, identity, invitation.role, MemberState.INVITED)

        return await self._once(scope, account_id, attempt, now, make)

    async def make_service_account(
        self, scope: Scope, account_id: str, draft: ServiceAccountDraft, attempt: Attempt
    ) -> Member:
        """An identity for a program: it has keys, and signs in nowhere."""
        now = self._clock.now()

        async def make(tx: Transaction) -> Member:
            account = await account_to_administer(tx, scope, account_id)
            return await new_service_account(tx, scope, account, draft, now)

        return await self._once(scope, account_id, attempt, now, make)

    async def account_for_new(self, scope: Scope, wanted: str | None) -> str:
        """The account named, else the only one that the caller administers."""
        async with self._store.read() as tx:
            return (await account_for_new(tx, scope, wanted)).id

    async def _once(
        self,
        scope: Scope,
        account_id: str,
        attempt: Attempt,
        now: datetime,
        make: Callable[[Transaction], Awaitable[Member]],
    ) -> Member:
        async def again(tx: Transaction, identity_id: str) -> Member:
            return await member_of(tx, await account_to_administer(tx, scope, account_id), identity_id)

        made = await create_once(
            self._store, attempt, now, make=make, again=again, id_of=lambda member: member.identity.id
        )
        self._forget(made.identity.id)
        return made

    async def change(self, scope: Scope, account_id: str, identity_id: str, change: MemberChange) -> Member:
        """`Conflict` (last_admin) where nobody would be left to govern the account."""
        async with self._store.begin() as tx:
            member = await self._held(tx, scope, account_id, identity_id)
            after = replace(
                member.membership,
                role=change.role or member.membership.role,
                state=change.state or member.membership.state,
            )
            require_grant(scope, after.role, account_id)
            await put(tx, member.membership, after)
            if change.name is not None:
                await tx.accounts.set_identity(replace(member.identity, first_name=change.name))
            changed = _in(after.account, await tx.accounts.identity(identity_id))
        self._forget(identity_id)
        return changed

    async def remove(self, scope: Scope, account_id: str, identity_id: str) -> None:
        """As `change`. Whoever is in no account any more has no keys any more."""
        async with self._store.begin() as tx:
            member = await self._held(tx, scope, account_id, identity_id)
            await refuse_last_admin(tx, member.membership)
            if len(member.identity.memberships) == 1 and not member.identity.is_administrator:
                await tx.accounts.revoke_keys_of(identity_id, self._clock.now())
            await tx.accounts.remove_membership(member.membership)
        self._forget(identity_id)

    async def _held(self, tx: Transaction, scope: Scope, account_id: str, identity_id: str) -> Member:
        """A member that the caller may change, while nobody else changes members of this account."""
        account = await account_to_administer(tx, scope, account_id)
        await tx.accounts.hold_account(account.id)
        member = await member_of(tx, account, identity_id)
        require_grant(scope, member.membership.role, account.id)
        return member


async def new_service_account(
    tx: Transaction, scope: Scope, account: Account, draft: ServiceAccountDraft, now: datetime
) -> Member:
    """One with that role in this account alone."""
    require_grant(scope, draft.role, account.id)
    id_ = str(uuid4())
    identity = Identity(id_, IdentityType.SERVICE_ACCOUNT, f"{id_}@{NO_MAIL}", now, first_name=draft.name)
    await tx.accounts.add_identity(identity)
    return await _joined(tx, account, identity, draft.role, MemberState.ACTIVE)


async def _person(tx: Transaction, email: str, invitation: Invitation, now: datetime) -> Identity:
    identity = Identity(
        id=str(uuid4()),
        type=IdentityType.USER,
        email=email,
        created_at=now,
        first_name=invitation.first_name,
        last_name=invitation.last_name,
    )
    await tx.accounts.add_identity(identity)
    return identity


async def _joined(tx: Transaction, account: Account, identity: Identity, role: Role, state: MemberState) -> Member:
    membership = Membership(str(uuid4()), account, identity.id, identity.type, role, state)
    await tx.accounts.add_membership(membership)
    return Member(replace(identity, memberships=(*identity.memberships, membership)), membership)


def _in(account: Account, identity: Identity) -> Member:
    return Member(identity, next(each for each in identity.memberships if each.account.id == account.id))


def _seen(scope: Scope, page: Page[tuple[Identity, Membership]]) -> Page[Member]:
    members = [Member(as_seen(scope, identity), membership) for identity, membership in page.items]
    return Page(members, page.total, page.page, page.limit)


def _email(text: str) -> str:
    try:
        email = emails.normal(text)
    except ValueError as error:
        raise InvalidRequest.at("body", "email", msg=f"is no e-mail address: {error}") from error
    if emails.domain_of(email) == NO_MAIL:
        raise InvalidRequest.at("body", "email", msg="is a service account's, which is in one account and stays there")
    return email
