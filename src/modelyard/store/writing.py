"""Writes that every noun needs: insert with a name of its own, insert or replace."""

from typing import Any

from sqlalchemy import Insert, Table, Update, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from modelyard.errors import Conflict

Values = dict[str, Any]


async def insert_named(connection: AsyncConnection, table: Table, values: Values, taken: str) -> None:
    """Insert a row; `Conflict` (name_taken) saying ``taken`` where another has its name already."""
    await execute_named(connection, insert(table).values(**values), taken)


async def execute_named(connection: AsyncConnection, statement: Insert | Update, taken: str) -> None:
    """Write a row that has a name; `Conflict` as in `insert_named`. The transaction goes on either way."""
    try:
        async with connection.begin_nested():
            await connection.execute(statement)
    except IntegrityError as error:
        raise conflict(error, taken) from error


def conflict(error: IntegrityError, taken: str) -> Conflict:
    text = str(error.orig).lower()
    if "unique" in text or "duplicate" in text:
        return Conflict(taken, code="name_taken", hint="Choose another name.")
    return Conflict("Something this refers to is no longer there.", code="reference_gone")


async def upsert(connection: AsyncConnection, table: Table, values: Values) -> None:
    """Insert a row, or replace the one with the same primary key."""
    keys = [column.name for column in table.primary_key]
    changed = {name: value for name, value in values.items() if name not in keys}
    statement: Any = _insert(connection, table).values(**values)
    try:
        async with connection.begin_nested():
            await connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed))
    except IntegrityError as error:
        raise conflict(error, f"Another of the {table.name} has the name '{values.get('name')}'.") from error


async def insert_missing(connection: AsyncConnection, table: Table, rows: list[Values]) -> None:
    """Insert the rows whose primary key is not there yet."""
    statement: Any = _insert(connection, table)
    keys = [column.name for column in table.primary_key]
    await connection.execute(statement.on_conflict_do_nothing(index_elements=keys), rows)


def _insert(connection: AsyncConnection, table: Table) -> Insert:
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)
