"""One transaction's connection, as the nouns see it: errors translated, and what the transaction has read and done."""

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from sqlalchemy import CursorResult, Executable, Row, Select, Table, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from modelyard.errors import Conflict, NotFound
from modelyard.store.faults import is_duplicate, translated
from modelyard.store.tables import ROUTES_VERSION, counters
from modelyard.store.trail import Trail

Values = dict[str, Any]

_CHUNK = 1000
"""Ids in one statement: databases have bounds for that."""


class Session:
    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self.on_postgresql = connection.dialect.name == "postgresql"
        self.trail = Trail(connection)
        self._versions: dict[tuple[str, str], int] = {}
        self._routes_changed = False

    async def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None
    ) -> CursorResult[*tuple[Any, ...]]:
        with translated():
            return await self.connection.execute(statement, parameters)

    async def one(self, statement: Executable) -> Row[Any] | None:
        """The only row there can be, or None."""
        return (await self.execute(statement)).one_or_none()

    async def entities(self, statement: Select[Any], table: Table) -> Sequence[Row[Any]]:
        """Whole rows of a table whose rows have a version, which `replace` compares."""
        found = (await self.execute(statement)).all()
        for row in found:
            self._versions[table.name, row.id] = row.version
        return found

    async def by_ids(self, table: Table, ids: Sequence[str]) -> dict[str, Row[Any]]:
        """As `entities`, of these ids; those that are not there are left out."""
        found: dict[str, Row[Any]] = {}
        for start in range(0, len(ids), _CHUNK):
            statement = select(table).where(table.c.id.in_(ids[start : start + _CHUNK]))
            found.update((row.id, row) for row in await self.entities(statement, table))
        return found

    async def insert(self, table: Table, values: Values, taken: str) -> None:
        """A new row; `Conflict` (name_taken) saying ``taken`` where its name or id is there already. The
        transaction can go on after that."""
        with translated():
            try:
                async with self._savepoint():
                    await self.connection.execute(insert(table).values(**values))
            except IntegrityError as error:
                _raise_taken(error, taken)
        self.trail.note("created", table, None, values)

    async def replace(self, table: Table, id_: str, values: Values, taken: str) -> None:
        """New values for a row. `Conflict` (changed_meanwhile) where somebody else wrote it after this transaction
        had read it, `NotFound` where it is gone, and as in `insert`."""
        with translated():
            before = await self.trail.row(table, id_)
        seen = self._versions.get((table.name, id_))
        statement = update(table).where(table.c.id == id_).values(**values, version=table.c.version + 1)
        if seen is not None:
            statement = statement.where(table.c.version == seen)
        with translated():
            try:
                async with self._savepoint():
                    written = (await self.connection.execute(statement)).rowcount
            except IntegrityError as error:
                _raise_taken(error, taken)
        if written == 0:
            await self._missed(table, id_)
        if seen is not None:
            self._versions[table.name, id_] = seen + 1
        ended = values.get("deleted") is True and before is not None and not before["deleted"]
        self.trail.note("deleted" if ended else "changed", table, before, values)

    async def alter(self, table: Table, id_: str, values: Values, *, action: str = "changed", taken: str = "") -> None:
        """New values for some columns of a row that has no version; whoever calls this holds what it depends on.
        Nothing happens where the row is gone; `Conflict` (name_taken) saying ``taken`` as in `insert`."""
        with translated():
            before = await self.trail.row(table, id_)
            try:
                async with self._savepoint():
                    await self.connection.execute(update(table).where(table.c.id == id_).values(**values))
            except IntegrityError as error:
                _raise_taken(error, taken)
        self.trail.note(action, table, before, values)

    async def delete(self, table: Table, id_: str) -> bool:
        """Whether there was such a row. `Conflict` (in_use) where something refers to it."""
        with translated():
            before = await self.trail.row(table, id_)
        if (await self.execute(delete(table).where(table.c.id == id_))).rowcount == 0:
            return False
        self.trail.note("deleted", table, before, None)
        return True

    async def upsert(self, table: Table, values: Values, taken: str) -> None:
        """A new row, or new values for the one with this id."""
        with translated():
            before = await self.trail.row(table, values["id"])
        changed = {name: value for name, value in values.items() if name != "id"}
        statement: Any = self.inserting(table).values(**values)
        statement = statement.on_conflict_do_update(
            index_elements=["id"], set_={**changed, "version": table.c.version + 1}
        )
        with translated():
            try:
                async with self._savepoint():
                    await self.connection.execute(statement)
            except IntegrityError as error:
                _raise_taken(error, taken)
        self._versions.pop((table.name, values["id"]), None)
        self.trail.note("created" if before is None else "changed", table, before, values)

    def inserting(self, table: Table) -> Any:
        """An INSERT that knows ON CONFLICT."""
        return postgresql.insert(table) if self.on_postgresql else sqlite.insert(table)

    def routes_changed(self) -> None:
        """What can be called is something else once this transaction is committed."""
        self._routes_changed = True

    async def finish(self) -> None:
        """The last statements before the commit: the counter is everybody's, so its lock is held for this long only."""
        with translated():
            await self.trail.write()
        if self._routes_changed:
            one_more = update(counters).where(counters.c.name == ROUTES_VERSION).values(value=counters.c.value + 1)
            await self.execute(one_more)

    @contextlib.asynccontextmanager
    async def _savepoint(self) -> AsyncIterator[None]:
        # SQLite undoes a failed statement by itself; PostgreSQL would give up the whole transaction.
        if not self.on_postgresql:
            yield
            return
        async with self.connection.begin_nested():
            yield

    async def _missed(self, table: Table, id_: str) -> None:
        if await self.one(select(table.c.id).where(table.c.id == id_)) is None:
            raise not_found(table, id_)
        raise Conflict(
            "Somebody else changed this at the same moment.",
            code="changed_meanwhile",
            hint="Look at it again and repeat the change.",
        )


def not_found(table: Table, id_: str) -> NotFound:
    noun = table.name.removesuffix("s")
    return NotFound(f"There is no {noun.replace('_', ' ')} '{id_}'.", code=f"{noun}_not_found")


def _raise_taken(error: IntegrityError, taken: str) -> None:
    if not is_duplicate(error):
        raise error
    raise Conflict(taken, code="name_taken", hint="Choose another name.") from error
