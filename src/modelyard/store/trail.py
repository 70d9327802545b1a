"""What one transaction changed, collected as it goes and written to the audit log as part of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Table, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from modelyard.domain.audit import changed_facts
from modelyard.store import rows
from modelyard.store.acting import Acting, current
from modelyard.store.tables import accounts, audit_log, deployments, identities, keys, memberships

Values = Mapping[str, Any]

_NOUNS = {
    "memberships": "member",
    "identities": "user",
    "keys": "api_key",
    "call_log_settings": "call_log_settings",
}
_UNTOLD = frozenset({"version", "digest", "last_used_at"})
"""Columns that say nothing, or more than anybody may know."""
_UNTOLD_OF = {
    # what the reconciler decides, and the lease
    "deployments": frozenset({column.name for column in deployments.c} - set(rows.ASKED_FIELDS)),
}


@dataclass(frozen=True, slots=True)
class _Change:
    action: str
    table: Table
    before: Values | None
    after: Values | None

    @property
    def row(self) -> Values:
        return {**(self.before or {}), **(self.after or {})}

    @property
    def entity_id(self) -> str:
        # A member is known by who it is.
        return str(self.row["identity_id" if self.table is memberships else "id"])


class Trail:
    """Silent where nobody acts."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._acting: Acting | None = current()
        self._changes: list[_Change] = []

    async def row(self, table: Table, id_: str) -> Values | None:
        """The row as it is now; None where it is not there, or nobody asks for it."""
        if self._acting is None:
            return None
        found = (await self._connection.execute(select(table).where(table.c.id == id_))).one_or_none()
        return None if found is None else found._asdict()

    def note(self, action: str, table: Table, before: Values | None, after: Values | None) -> None:
        """``after`` of a change may hold the changed columns alone."""
        if self._acting is not None and "id" in table.c:
            self._changes.append(_Change(action, table, before, after))

    async def write(self) -> None:
        if self._acting is None or not self._changes:
            return
        entries = [entry for change in self._changes for entry in await self._entries(change, self._acting)]
        self._changes.clear()
        if entries:
            await self._connection.execute(insert(audit_log), entries)

    async def _entries(self, change: _Change, acting: Acting) -> list[dict[str, Any]]:
        facts = changed_facts(_told(change.table, change.before), _told(change.table, change.after))
        if facts is None:
            return []
        before, after = facts
        entry = {
            "at": acting.now(),
            "actor_id": acting.actor.identity_id,
            "actor_type": acting.actor.identity_type,
            "key_id": acting.actor.key_id,
            "request_id": acting.actor.request_id,
            "action": change.action,
            "entity_type": noun_of(change.table.name),
            "entity_id": change.entity_id,
            "before": before,
            "after": after,
        }
        # Each account has its own log; what belongs to several stands in each.
        return [{**entry, "account_id": account} for account in await self._accounts(change)]

    async def _accounts(self, change: _Change) -> list[str | None]:
        row = change.row
        if "account_id" in change.table.c:
            return [row["account_id"]]
        if change.table is accounts:
            return [row["id"]]
        if change.table is identities:
            return await self._places(row["id"])
        if change.table is keys:
            return await self._places(row["identity_id"])
        return [None]

    async def _places(self, identity_id: str) -> list[str | None]:
        """The accounts an identity is in, those that this transaction took it out of included."""
        statement = select(memberships.c.account_id).where(memberships.c.identity_id == identity_id)
        found = {row.account_id for row in await self._connection.execute(statement)}
        left = {c.row["account_id"] for c in self._changes if c.table is memberships and c.entity_id == identity_id}
        return sorted(found | left) or [None]


def noun_of(table: str) -> str:
    """What the log calls the entities of a table."""
    return _NOUNS.get(table, table.removesuffix("s"))


def _told(table: Table, row: Values | None) -> dict[str, Any] | None:
    if row is None:
        return None
    untold = _UNTOLD | _UNTOLD_OF.get(table.name, frozenset())
    return {name: _plain(value) for name, value in row.items() if name not in untold}


def _plain(value: Any) -> Any:
    # As it comes back from the database: what was read and what is written are compared.
    return msgspec.json.decode(msgspec.json.encode(value))
