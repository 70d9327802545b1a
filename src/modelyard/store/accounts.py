"""Accounts, identities, memberships and keys."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update

from modelyard.domain.accounts import Account, ApiKey, Identity, IdentityType, Membership, Role
from modelyard.errors import NotFound
from modelyard.store import rows
from modelyard.store.session import Session
from modelyard.store.tables import accounts, identities, keys, memberships


class Accounts:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add_account(self, account: Account) -> None:
        values = {name: getattr(account, name) for name in ("id", "name", "status", "created_at")}
        await self._session.insert(accounts, values, "There is an account with this id already.")

    async def add_identity(self, identity: Identity) -> None:
        """Without its memberships, which are added one by one."""
        names = ("id", "email", "created_at", "first_name", "last_name", "is_administrator")
        values = {**{name: getattr(identity, name) for name in names}, "type": identity.type.value}
        await self._session.insert(identities, values, "There is an identity with this id already.")

    async def add_membership(self, membership: Membership) -> None:
        values = {
            "id": membership.id,
            "account_id": membership.account.id,
            "identity_id": membership.identity_id,
            "role": membership.role.value,
        }
        await self._session.insert(memberships, values, "This identity is a member of this account already.")

    async def account(self, account_id: str) -> Account:
        row = await self._session.one(select(accounts).where(accounts.c.id == account_id))
        if row is None:
            raise NotFound(f"There is no account '{account_id}'.", code="account_not_found")
        return rows.account(row)

    async def identity(self, identity_id: str) -> Identity:
        """The identity with all its memberships."""
        found = await self._identities([identity_id])
        if identity_id not in found:
            raise NotFound(f"There is no user '{identity_id}'.", code="user_not_found")
        return found[identity_id]

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

    async def _identities(self, ids: Sequence[str]) -> dict[str, Identity]:
        statement = (
            select(
                memberships.c.id.label("membership_id"),
                memberships.c.identity_id,
                memberships.c.role,
                accounts.c.id,
                accounts.c.name,
                accounts.c.status,
                accounts.c.created_at,
            )
            .join_from(memberships, accounts)
            .where(memberships.c.identity_id.in_(ids))
            .order_by(accounts.c.created_at, accounts.c.id)
        )
        places: dict[str, list[tuple[str, Role, Account]]] = {}
        for row in await self._session.execute(statement):
            places.setdefault(row.identity_id, []).append((row.membership_id, Role(row.role), rows.account(row)))
        found: dict[str, Identity] = {}
        for row in await self._session.execute(select(identities).where(identities.c.id.in_(ids))):
            type_ = IdentityType(row.type)
            found[row.id] = Identity(
                id=row.id,
                type=type_,
                email=row.email,
                created_at=row.created_at,
                first_name=row.first_name,
                last_name=row.last_name,
                is_administrator=row.is_administrator,
                memberships=tuple(
                    Membership(id_, account, row.id, type_, role) for id_, role, account in places.get(row.id, ())
                ),
            )
        return found

    async def add_key(self, key: ApiKey) -> None:
        await self._session.insert(keys, rows.key_values(key), "There is such a key already.")

    async def key_by_digest(self, digest: str) -> tuple[ApiKey, Identity] | None:
        """The key with this SHA-256, and whose it is; revoked and expired ones too."""
        row = await self._session.one(select(keys).where(keys.c.digest == digest))
        return None if row is None else (rows.key(row), await self.identity(row.identity_id))

    async def key(self, key_id: str) -> ApiKey:
        row = await self._session.one(select(keys).where(keys.c.id == key_id))
        if row is None:
            raise NotFound(f"There is no key '{key_id}'.", code="key_not_found")
        return rows.key(row)

    async def keys(self, account_ids: Sequence[str]) -> list[ApiKey]:
        """The keys of all members of these accounts, newest first."""
        members = select(memberships.c.identity_id).where(memberships.c.account_id.in_(account_ids))
        statement = (
            select(keys).where(keys.c.identity_id.in_(members)).order_by(keys.c.created_at.desc(), keys.c.id.desc())
        )
        return [rows.key(row) for row in await self._session.execute(statement)]

    async def revoke_key(self, key_id: str, now: datetime) -> bool:
        """Whether the key was in force until now."""
        statement = update(keys).where(keys.c.id == key_id, keys.c.revoked_at.is_(None)).values(revoked_at=now)
        return (await self._session.execute(statement)).rowcount == 1
