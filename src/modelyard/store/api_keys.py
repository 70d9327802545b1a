"""Keys: found by the digest of what somebody sent, kept under an id that stays."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update

from modelyard.domain.accounts import ApiKey, KeyKind, MemberState
from modelyard.errors import Conflict, NotFound
from modelyard.store import rows
from modelyard.store.paging import Page, PageQuery, SortKeys, page_of_rows
from modelyard.store.session import Session
from modelyard.store.tables import identities, keys, memberships, retired_secrets

SORT_FIELDS: SortKeys = {
    name: keys.c[name] for name in ("id", "name", "prefix", "created_at", "expires_at", "last_used_at", "identity_id")
}


class ApiKeys:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add_key(self, key: ApiKey) -> None:
        await self._session.insert(keys, rows.key_values(key), "There is such a key already.")

    async def key_with_digest(self, digest: str) -> ApiKey | None:
        """The key with this SHA-256, revoked and expired ones too. One that was rotated since ends when its earlier
        secret does."""
        row = await self._session.one(select(keys).where(keys.c.digest == digest))
        if row is not None:
            return rows.key(row)
        retired = select(retired_secrets).where(retired_secrets.c.digest == digest)
        earlier = await self._session.one(retired)
        if earlier is None:
            return None
        key = await self.key(earlier.key_id)
        ends = earlier.ends_at if key.expires_at is None else min(key.expires_at, earlier.ends_at)
        return replace(key, digest=digest, expires_at=ends)

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

    async def keys_page(self, query: PageQuery, *, own: str, of: str | None = None) -> Page[ApiKey]:
        """The keys in force of the members of ``query.accounts`` and of the identity ``own``; ``of``: of that identity
        alone. None as accounts: everybody's."""
        statement = select(keys).where(keys.c.revoked_at.is_(None))
        if query.accounts is not None:
            # Who is only invited is nobody's yet: what keys a stranger has is none of the account's business.
            come = memberships.c.state != MemberState.INVITED.value
            members = select(memberships.c.identity_id).where(memberships.c.account_id.in_(query.accounts), come)
            statement = statement.where(or_(keys.c.identity_id.in_(members), keys.c.identity_id == own))
        if of is not None:
            statement = statement.where(keys.c.identity_id == of)
        found, total = await page_of_rows(self._session, statement, SORT_FIELDS, keys.c.id, query)
        return Page([rows.key(row) for row in found], total, query.page, query.limit)

    async def set_key(self, key: ApiKey) -> None:
        """Its name, end, scopes and models."""
        values = rows.key_values(key)
        changed = {name: values[name] for name in ("name", "expires_at", "scopes", "models")}
        await self._session.alter(keys, key.id, changed)

    async def revoke_key(self, key_id: str, now: datetime) -> bool:
        """Whether the key was in force until now."""
        before = await self._session.one(select(keys).where(keys.c.id == key_id, keys.c.revoked_at.is_(None)))
        if before is None:
            return False
        await self._session.alter(keys, key_id, {"revoked_at": now}, action="revoked")
        return True

    async def revoke_keys_of(self, identity_id: str, now: datetime) -> None:
        """All that are in force."""
        statement = select(keys.c.id).where(keys.c.identity_id == identity_id, keys.c.revoked_at.is_(None))
        for row in (await self._session.execute(statement)).all():
            await self.revoke_key(row.id, now)

    async def rotate_key(self, before: ApiKey, after: ApiKey, now: datetime, grace: timedelta) -> None:
        """Another digest and prefix under the same id. What it was until now stays valid for ``grace``; with none,
        every earlier secret ends. `Conflict` (changed_meanwhile) where somebody else rotated or revoked it first."""
        where = (keys.c.id == before.id, keys.c.digest == before.digest, keys.c.revoked_at.is_(None))
        values = {"digest": after.digest, "prefix": after.prefix}
        if (await self._session.execute(update(keys).where(*where).values(**values))).rowcount == 0:
            raise Conflict(
                "Somebody else changed this key at the same moment.",
                code="changed_meanwhile",
                hint="Look at it again and repeat the change.",
            )
        ends = now + grace
        old = {"digest": before.digest, "key_id": before.id, "ends_at": ends}
        if grace:
            await self._session.execute(self._session.inserting(retired_secrets).values(**old))
        else:
            earlier = update(retired_secrets).where(retired_secrets.c.key_id == before.id)
            await self._session.execute(earlier.where(retired_secrets.c.ends_at > now).values(ends_at=now))
        told = {**rows.key_values(after), "earlier_ends_at": ends}
        self._session.trail.note("rotated", keys, rows.key_values(before), told)

    async def note_used(self, used: Mapping[str, datetime], every: timedelta) -> None:
        """When keys were last used, by id; one that was written down within ``every`` is left as it is."""
        for key_id, at in used.items():
            unwritten = or_(keys.c.last_used_at.is_(None), keys.c.last_used_at <= at - every)
            await self._session.execute(update(keys).where(keys.c.id == key_id, unwritten).values(last_used_at=at))

    async def keys_of_administrators(self, now: datetime) -> list[ApiKey]:
        """The keys in force, sessions left out, of those who administer the installation."""
        statement = (
            select(keys)
            .join(identities, identities.c.id == keys.c.identity_id)
            .where(identities.c.is_administrator, keys.c.revoked_at.is_(None))
            .where(or_(keys.c.expires_at.is_(None), keys.c.expires_at > now))
            .where(keys.c.kind == KeyKind.KEY.value)
        )
        return [rows.key(row) for row in await self._session.execute(statement)]
