"""What creating calls made, so that a repeated call makes nothing twice."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from modelyard.store.tables import idempotency as table
from modelyard.store.writing import upsert

_FIELDS = ("key_id", "fingerprint", "body_digest", "entity_id", "created_at")


@dataclass(frozen=True, slots=True)
class Replay:
    """One creating call, by whose key and which fingerprint, and the entity it made."""

    key_id: str
    fingerprint: str
    body_digest: str
    entity_id: str
    created_at: datetime


class Idempotency:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def find(self, key_id: str, fingerprint: str, since: datetime) -> Replay | None:
        statement = select(table).where(
            table.c.key_id == key_id, table.c.fingerprint == fingerprint, table.c.created_at >= since
        )
        row = (await self._connection.execute(statement)).one_or_none()
        return None if row is None else Replay(*(getattr(row, name) for name in _FIELDS))

    async def remember(self, replay: Replay) -> None:
        """The newest call under a fingerprint is the one that a repetition means."""
        await upsert(self._connection, table, {name: getattr(replay, name) for name in _FIELDS})

    async def forget_before(self, at: datetime) -> int:
        """How many calls were forgotten."""
        return (await self._connection.execute(delete(table).where(table.c.created_at < at))).rowcount
