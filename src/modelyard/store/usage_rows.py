"""Writing usage records one by one, and telling which of them were not there before."""

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Integer, String, Text, bindparam, cast, func, literal_column, select, true
from sqlalchemy.dialects import postgresql, sqlite

from modelyard.domain.intervals import to_microseconds
from modelyard.domain.usage import UsageRecord
from modelyard.store.columns import checked
from modelyard.store.faults import translated
from modelyard.store.session import Session
from modelyard.store.tables_of_usage import usage as table

_COLUMNS = tuple(column.name for column in table.columns)
_MOST_ROWS = 256
"""In one statement on SQLite, which has bounds for parameters."""

_Row = tuple[object, ...]


async def insert(session: Session, records: Sequence[UsageRecord]) -> list[UsageRecord]:
    """Write records, each once; those that were not there before."""
    by_id = {record.id: record for record in records}
    with translated():
        rows = [_row(record) for record in by_id.values()]
        checked("".join([value for row in rows for value in row if isinstance(value, str)]))
    write = _on_postgresql if session.on_postgresql else _on_sqlite
    return await write(session, by_id, rows)


def _row(record: UsageRecord) -> _Row:
    """A record's values in the order of the table's columns."""
    return (
        to_microseconds(record.started_at),
        record.id,
        record.request_id,
        record.account_id,
        record.key_id,
        record.identity_id,
        record.deployment_id,
        record.model_id,
        record.model_name,
        record.verb.value,
        record.outcome.value,
        record.error_code,
        record.prompt_tokens,
        record.response_tokens,
        record.estimated,
        record.first_byte_seconds,
        record.total_seconds,
        record.cached_tokens,
        record.reasoning_tokens,
        record.vendor,
        record.cost_nano,
        record.served_by,
    )


async def _on_sqlite(session: Session, by_id: Mapping[str, UsageRecord], rows: Sequence[_Row]) -> list[UsageRecord]:
    # Whoever writes is alone, and rows are numbered as they come: newer numbers are new rows.
    last = (await session.execute(_LAST_ROW)).scalar_one()
    written, start = 0, 0
    while start < len(rows):
        # Few sizes, so that the driver has each statement prepared already. Many rows in one take the interpreter's
        # lock once; row by row each would wait for it.
        size = min(_MOST_ROWS, 1 << (len(rows) - start).bit_length() - 1)
        values = tuple(chain.from_iterable(rows[start : start + size]))
        with translated():
            result = await session.connection.exec_driver_sql(_inserting(size), values)
        written += result.rowcount
        start += size
    if written == len(rows):
        return list(by_id.values())
    new = await session.execute(_ROWS_AFTER, {"last": last})
    return [by_id[id_] for id_ in new.scalars()]


_LAST_ROW = select(func.coalesce(func.max(literal_column("rowid", Integer)), 0)).select_from(table)
_ROWS_AFTER = select(table.c.id).where(literal_column("rowid", Integer) > bindparam("last", type_=Integer))


@cache
def _inserting(rows: int) -> str:
    """A statement whose parameters are those of so many rows, one after the other."""
    # Compiled for one row, and repeated as text: compiling it for hundreds takes as long as many calls.
    statement = sqlite.insert(table).values(dict.fromkeys(_COLUMNS)).on_conflict_do_nothing()
    row = f"({', '.join('?' * len(_COLUMNS))})"
    return str(statement.compile(dialect=sqlite.dialect())).replace(row, ", ".join([row] * rows))


async def _on_postgresql(session: Session, by_id: Mapping[str, UsageRecord], rows: Sequence[_Row]) -> list[UsageRecord]:
    with translated():
        text = msgspec.json.encode(rows).decode()
    new = await session.execute(_INSERT_ON_POSTGRESQL, {"records": text})
    return [by_id[id_] for id_ in new.scalars()]


def _from_json() -> Any:
    """One statement and one parameter for a whole batch: the rows are taken apart by the server."""
    text = cast(bindparam("records", type_=Text), postgresql.JSONB)
    records = func.jsonb_array_elements(text).table_valued("value")
    values: list[ColumnElement[Any]] = []
    for position, column in enumerate(table.columns):
        value = records.c.value.op("->>", return_type=Text())(literal_column(str(position), Integer))
        values.append(value if isinstance(column.type, String) else cast(value, column.type))
    listed = select(*values).select_from(records).where(true())
    insert = postgresql.insert(table).from_select(list(_COLUMNS), listed)
    return insert.on_conflict_do_nothing().returning(table.c.id)


_INSERT_ON_POSTGRESQL = _from_json()
