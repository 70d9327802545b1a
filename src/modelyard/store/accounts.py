"""Accounts, identities, memberships, and as whom people sign in."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select

from modelyard.domain.accounts import Account, ApiKey, Identity, IdentityType, Membership, MemberState, Role
from modelyard.errors import NotFound
from modelyard.store import rows
from modelyard.store.api_keys import ApiKeys
from modelyard.store.paging import Page, PageQuery, SortKeys, page_of_rows
from modelyard.store.tables import accounts, identities, memberships, subjects

ACCOUNT_FIELDS: SortKeys = {name: accounts.c[name] for name in ("id", "name", "status", "created_at")}
MEMBER_FIELDS: SortKeys = {
    "id": identities.c.id,
    "role": memberships.c.role,
    "state": memberships.c.state,
    **{name: identities.c[name] for name in ("email", "type", "first_name", "last_name", "created_at")},
}
_FILTERS = {
    "role": memberships.c.role,
    "state": memberships.c.state,
    "type": identities.c.type,
    "email": identities.c.email,
}


class Accounts(ApiKeys):
    """All that is done with accounts, people and keys in one transaction."""

    async def add_account(self, account: Account) -> None:
        values = {name: getattr(account, name) for name in ("id", "name", "status", "created_at")}
        await self._session.insert(accounts, values, "There is an account with this id already.")

    async def hold(self, account_id: str) -> None:
        """Until the transaction ends nobody else holds it. On SQLite a transaction that writes is alone anyway."""
        # The weakest lock that excludes itself: rows that refer to the account may be written meanwhile.
        held = select(accounts.c.id).where(accounts.c.id == account_id).with_for_update(key_share=True)
        await self._session.execute(held)

    async def account(self, account_id: str) -> Account:
        row = await self._session.one(select(accounts).where(accounts.c.id == account_id))
        if row is None:
            raise NotFound(f"There is no account '{account_id}'.", code="account_not_found")
        return rows.account(row)

    async def hold_account(self, account_id: str) -> Account:
        """As `account`; whoever else holds it waits until this transaction ends. What is counted among its members
        after that stays true."""
        statement = select(accounts).where(accounts.c.id == account_id).with_for_update()
        row = await self._session.one(statement)
        if row is None:
            raise NotFound(f"There is no account '{account_id}'.", code="account_not_found")
        return rows.account(row)

    async def set_account(self, account: Account) -> None:
        """Its name and status."""
        await self._session.alter(accounts, account.id, {"name": account.name, "status": account.status})

    async def accounts_page(self, query: PageQuery) -> Page[Account]:
        """``query.accounts``: those to choose from; None: all."""
        statement = select(accounts)
        if query.accounts is not None:
            statement = statement.where(accounts.c.id.in_(query.accounts))
        found, total = await page_of_rows(self._session, statement, ACCOUNT_FIELDS, accounts.c.id, query)
        return Page([rows.account(row) for row in found], total, query.page, query.limit)

    async def add_identity(self, identity: Identity) -> None:
        """Without its memberships, which are added one by one. `Conflict` where the id or the e-mail is taken."""
        names = ("id", "email", "created_at", "first_name", "last_name", "is_administrator")
        values = {**{name: getattr(identity, name) for name in names}, "type": identity.type.value}
        await self._session.insert(identities, values, "There is somebody with this id or e-mail address already.")

    async def identity(self, identity_id: str) -> Identity:
        """The identity with all its memberships."""
        found = await self.identities([identity_id])
        if identity_id not in found:
            raise NotFound(f"There is no user '{identity_id}'.", code="user_not_found")
        return found[identity_id]

    async def set_identity(self, identity: Identity) -> None:
        """Its names, e-mail address and whether it administers the installation."""
        names = ("email", "first_name", "last_name", "is_administrator")
        values = {name: getattr(identity, name) for name in names}
        await self._session.alter(identities, identity.id, values, taken="Somebody else has this e-mail address.")

    async def identity_with_email(self, email: str) -> Identity | None:
        """``email`` as `modelyard.domain.emails.normal` makes it."""
        statement = select(identities.c.id).where(identities.c.email == email)
        identity_id = (await self._session.execute(statement)).scalar_one_or_none()
        return None if identity_id is None else await self.identity(identity_id)

    async def any_administrator(self) -> Identity | None:
        """The oldest identity that administers the installation."""
        statement = (
            select(identities.c.id)
            .where(identities.c.is_administrator)
            .order_by(identities.c.created_at, identities.c.id)
            .limit(1)
        )
        identity_id = (await self._session.execute(statement)).scalar_one_or_none()
        return None if identity_id is None else await self.identity(identity_id)

    async def hold_administrators(self) -> list[str]:
        """The ids of all administrators of the installation, who stay what they are until this transaction ends."""
        statement = select(identities.c.id).where(identities.c.is_administrator).order_by(identities.c.id)
        return [row.id for row in await self._session.execute(statement.with_for_update())]

    async def add_membership(self, membership: Membership) -> None:
        values = {
            "id": membership.id,
            "account_id": membership.account.id,
            "identity_id": membership.identity_id,
            "role": membership.role.value,
            "state": membership.state.value,
        }
        await self._session.insert(memberships, values, "This identity is a member of this account already.")

    async def set_membership(self, membership: Membership) -> None:
        """Its role and state."""
        values = {"role": membership.role.value, "state": membership.state.value}
        await self._session.alter(memberships, membership.id, values)

    async def remove_membership(self, membership: Membership) -> None:
        await self._session.delete(memberships, membership.id)

    async def active_admins(self, account_id: str) -> int:
        """How many admins of the account are neither invited nor disabled."""
        statement = (
            select(func.count())
            .select_from(memberships)
            .where(memberships.c.account_id == account_id, memberships.c.role == Role.ADMIN.value)
            .where(memberships.c.state == MemberState.ACTIVE.value)
        )
        return int((await self._session.execute(statement)).scalar_one())

    async def members_page(self, query: PageQuery) -> Page[tuple[Identity, Membership]]:
        """The members of these accounts, each with all memberships and the one that is meant; ``query.where`` knows
        role, state, type and email."""
        statement = select(identities.c.id, memberships.c.id.label("membership_id")).join(
            memberships, memberships.c.identity_id == identities.c.id
        )
        if query.accounts is not None:
            statement = statement.where(memberships.c.account_id.in_(query.accounts))
        statement = statement.where(*(_FILTERS[name] == value for name, value in query.where.items()))
        found, total = await page_of_rows(self._session, statement, MEMBER_FIELDS, memberships.c.id, query)
        whole = await self.identities([row.id for row in found])
        places = {each.id: each for identity in whole.values() for each in identity.memberships}
        members = [(whole[row.id], places[row.membership_id]) for row in found]
        return Page(members, total, query.page, query.limit)

    async def subject(self, issuer: str, subject: str) -> str | None:
        """The id of whoever signs in as that."""
        statement = select(subjects.c.identity_id).where(subjects.c.issuer == issuer, subjects.c.subject == subject)
        return (await self._session.execute(statement)).scalar_one_or_none()

    async def subjects_of(self, identity_id: str, issuer: str) -> list[str]:
        statement = select(subjects.c.subject).where(subjects.c.identity_id == identity_id, subjects.c.issuer == issuer)
        return [row.subject for row in await self._session.execute(statement)]

    async def add_subject(self, issuer: str, subject: str, identity_id: str, now: datetime) -> None:
        values = {"issuer": issuer, "subject": subject, "identity_id": identity_id, "created_at": now}
        await self._session.insert(subjects, values, "Somebody signs in as this already.")
        told = {"id": identity_id, "issuer": issuer, "subject": subject}
        self._session.trail.note("linked", identities, None, told)

    async def key_by_digest(self, digest: str) -> tuple[ApiKey, Identity] | None:
        """As `key_with_digest`, and whose it is."""
        key = await self.key_with_digest(digest)
        return None if key is None else (key, await self.identity(key.identity_id))

    async def identities(self, ids: Sequence[str]) -> dict[str, Identity]:
        """Identities with their memberships by id; those that are not there are left out."""
        statement = (
            select(
                memberships.c.id.label("membership_id"),
                memberships.c.identity_id,
                memberships.c.role,
                memberships.c.state,
                accounts.c.id,
                accounts.c.name,
                accounts.c.status,
                accounts.c.created_at,
            )
            .join_from(memberships, accounts)
            .where(memberships.c.identity_id.in_(ids))
            .order_by(accounts.c.created_at, accounts.c.id)
        )
        places: dict[str, list[Row[Any]]] = {}
        for row in await self._session.execute(statement):
            places.setdefault(row.identity_id, []).append(row)
        found = await self._session.execute(select(identities).where(identities.c.id.in_(ids)))
        return {row.id: _identity(row, places.get(row.id, ())) for row in found}


def _identity(row: Row[Any], places: Sequence[Row[Any]]) -> Identity:
    type_ = IdentityType(row.type)
    return Identity(
        id=row.id,
        type=type_,
        email=row.email,
        created_at=row.created_at,
        first_name=row.first_name,
        last_name=row.last_name,
        is_administrator=row.is_administrator,
        memberships=tuple(
            Membership(
                place.membership_id, rows.account(place), row.id, type_, Role(place.role), MemberState(place.state)
            )
            for place in places
        ),
    )
