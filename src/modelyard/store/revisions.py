"""The revisions that deployments have had."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, Text, cast, delete, func, insert, select, update

from modelyard.domain.accounts import IdentityType
from modelyard.domain.revisions import Author, Revision
from modelyard.domain.snapshots import Snapshot
from modelyard.store.session import Session
from modelyard.store.tables import revisions as table
from modelyard.store.templates import SEALED

KEPT = 100
"""So many entries of one deployment are kept, the last ones."""

_CHUNK = 1000


class Revisions:
    """Whoever writes here has changed the deployment's target in the same transaction, and so holds its row."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add_first(self, revision: Revision) -> None:
        """Number 1, unless the deployment has entries already."""
        if await self._last(revision.deployment_id) == 0:
            statement = self._session.inserting(table).values(**_values(revision)).on_conflict_do_nothing()
            await self._session.execute(statement)

    async def add(self, revision: Revision) -> None:
        """The deployment's next entry; ``revision.number`` is not looked at. One whose fingerprint was ready before is
        known to be good. Entries beyond `KEPT` go."""
        number = await self._last(revision.deployment_id) + 1
        same = table.c.revision == revision.revision
        ready_at = select(func.min(table.c.ready_at)).where(table.c.deployment_id == revision.deployment_id, same)
        known = (await self._session.execute(ready_at)).scalar_one()
        await self._session.execute(insert(table).values(**{**_values(revision), "number": number, "ready_at": known}))
        await self._session.execute(
            delete(table).where(table.c.deployment_id == revision.deployment_id, table.c.number <= number - KEPT)
        )

    async def of(self, deployment_id: str) -> list[Revision]:
        """All entries, newest first."""
        statement = select(table).where(table.c.deployment_id == deployment_id).order_by(table.c.number.desc())
        return [_revision(row) for row in await self._session.execute(statement)]

    async def snapshots(self, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Snapshot]:
        """Snapshots by (deployment id, revision), as far as they are kept."""
        pairs = set(wanted)
        ids = sorted({deployment_id for deployment_id, _ in pairs})
        found: dict[tuple[str, str], Snapshot] = {}
        for start in range(0, len(ids), _CHUNK):
            statement = select(table.c.deployment_id, table.c.revision, table.c.content).where(
                table.c.deployment_id.in_(ids[start : start + _CHUNK]), table.c.revision.in_({r for _, r in pairs})
            )
            for row in await self._session.execute(statement):
                key = (row.deployment_id, row.revision)
                if key in pairs and key not in found:
                    found[key] = msgspec.convert(row.content, Snapshot)
        return found

    async def proven(self, deployment_id: str, revision: str, now: datetime) -> None:
        """A worker of that revision was ready."""
        statement = update(table).where(
            table.c.deployment_id == deployment_id, table.c.revision == revision, table.c.ready_at.is_(None)
        )
        await self._session.execute(statement.values(ready_at=now))

    async def with_secrets(self) -> list[Revision]:
        """Every deployment's that have sealed variables."""
        some = cast(table.c.content, Text).like(f"%{SEALED}%")
        return [_revision(row) for row in await self._session.execute(select(table).where(some))]

    async def reseal(self, revision: Revision) -> None:
        """Its sealed variables are sealed otherwise: what they are stays, and so does its fingerprint."""
        entry = (table.c.deployment_id == revision.deployment_id, table.c.number == revision.number)
        content = _values(revision)["content"]
        await self._session.execute(update(table).where(*entry).values(content=content))

    async def _last(self, deployment_id: str) -> int:
        statement = select(func.max(table.c.number)).where(table.c.deployment_id == deployment_id)
        return (await self._session.execute(statement)).scalar_one() or 0


def _values(revision: Revision) -> dict[str, Any]:
    return {
        "deployment_id": revision.deployment_id,
        "number": revision.number,
        "revision": revision.revision,
        "created_at": revision.created_at,
        "created_by_user_id": revision.created_by.user_id,
        "created_by_identity_type": revision.created_by.identity_type.value,
        "why": revision.why,
        "content": msgspec.to_builtins(revision.snapshot),
        "ready_at": revision.ready_at,
    }


def _revision(row: Row[Any]) -> Revision:
    return Revision(
        deployment_id=row.deployment_id,
        number=row.number,
        revision=row.revision,
        created_at=row.created_at,
        created_by=Author(row.created_by_user_id, IdentityType(row.created_by_identity_type)),
        why=row.why,
        snapshot=msgspec.convert(row.content, Snapshot),
        ready_at=row.ready_at,
    )
