"""What creating calls made, so that a repeated call makes nothing twice."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select

from modelyard.errors import Conflict
from modelyard.store.session import Session
from modelyard.store.tables import idempotency as table

_FIELDS = ("key_id", "fingerprint", "body_digest", "entity_id", "created_at")


@dataclass(frozen=True, slots=True)
class Replay:
    """One creating call, by whose key and which fingerprint, and the entity it made."""

    key_id: str
    fingerprint: str
    body_digest: str
    entity_id: str
    created_at: datetime
    """When the call began."""


class Idempotency:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._found: dict[tuple[str, str], str | None] = {}

    async def find(self, key_id: str, fingerprint: str, since: datetime) -> Replay | None:
        """What a call with this fingerprint made, not longer ago than ``since``."""
        statement = select(table).where(table.c.key_id == key_id, table.c.fingerprint == fingerprint)
        row = await self._session.one(statement)
        self._found[key_id, fingerprint] = row and row.entity_id
        if row is None or row.created_at < since:
            return None
        return Replay(*(getattr(row, name) for name in _FIELDS))

    async def remember(self, replay: Replay) -> None:
        """Write what this call made, in place of what an earlier one did. `Conflict` (call_repeated) where a call
        with the same fingerprint ran at the same time and was faster: one that `find` could not see, or one that
        began later, so that it is the repetition of this."""
        statement = self._session.inserting(table).values(**{name: getattr(replay, name) for name in _FIELDS})
        key = replay.key_id, replay.fingerprint
        # Compared in the database: whoever runs at the same time is waited for there.
        replaced = table.c.created_at < replay.created_at
        if key in self._found:
            replaced = table.c.entity_id == self._found[key]
        statement = statement.on_conflict_do_update(
            index_elements=["key_id", "fingerprint"],
            set_={name: getattr(replay, name) for name in ("body_digest", "entity_id", "created_at")},
            where=replaced,
        )
        if (await self._session.execute(statement)).rowcount != 1:
            raise Conflict(
                "The same call ran at the same time, and has made this already.",
                code="call_repeated",
                hint="Look at what it made.",
            )

    async def forget_before(self, at: datetime) -> int:
        """How many calls were forgotten."""
        return (await self._session.execute(delete(table).where(table.c.created_at < at))).rowcount
