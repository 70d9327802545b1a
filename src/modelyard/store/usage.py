"""Usage records, and their sums over slices of time."""

from collections.abc import Sequence
from datetime import datetime
from itertools import chain, pairwise
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    String,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
    true,
    type_coerce,
)
from sqlalchemy.dialects import postgresql, sqlite

from modelyard.domain.usage import UsageRecord
from modelyard.store.columns import checked, to_microseconds
from modelyard.store.faults import translated
from modelyard.store.session import Session
from modelyard.store.tables import models
from modelyard.store.tables import usage as table


def _row(record: UsageRecord) -> tuple[object, ...]:
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
    )


def _encoded(rows: list[tuple[object, ...]]) -> str:
    text = msgspec.json.encode(rows).decode()
    if r"\u0000" in text:
        # It may be a backslash, u and zeros: a harmless text.
        for value in chain.from_iterable(rows):
            if isinstance(value, str):
                checked(value)
    return text


def _inserted_from(source: FromClause, values: Sequence[ColumnElement[Any]], insert: Any) -> Any:
    # Without a condition SQLite would take ON CONFLICT for a part of the SELECT.
    listed = select(*values).select_from(source).where(true())
    return insert.from_select([column.name for column in table.columns], listed).on_conflict_do_nothing()


def _on_sqlite() -> Any:
    records = func.json_each(bindparam("records", type_=Text)).table_valued("value")
    values = [func.json_extract(records.c.value, f"$[{position}]") for position in range(len(table.columns))]
    return _inserted_from(records, values, sqlite.insert(table))


def _on_postgresql() -> Any:
    text = cast(bindparam("records", type_=Text), postgresql.JSONB)
    records = func.jsonb_array_elements(text).table_valued("value")
    values: list[ColumnElement[Any]] = []
    for position, column in enumerate(table.columns):
        value = records.c.value.op("->>", return_type=Text())(literal_column(str(position), Integer))
        values.append(value if isinstance(column.type, String) else cast(value, column.type))
    return _inserted_from(records, values, postgresql.insert(table))


# One statement and one parameter for a whole batch: the rows are taken apart by the database, not on the event loop
# and not under the interpreter's lock.
_INSERT_ON_SQLITE = _on_sqlite()
_INSERT_ON_POSTGRESQL = _on_postgresql()


class Usage:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, records: Sequence[UsageRecord]) -> None:
        """Write records; one that was written before is left as it is."""
        if not records:
            return
        with translated():
            text = _encoded([_row(record) for record in records])
        statement = _INSERT_ON_POSTGRESQL if self._session.on_postgresql else _INSERT_ON_SQLITE
        await self._session.execute(statement, {"records": text})

    async def sums(
        self,
        starts: Sequence[datetime],
        end: datetime,
        *,
        deployment_id: str | None = None,
        model_name: str | None = None,
        model_group_id: str | None = None,
        accounts: Sequence[str] | None = None,
    ) -> list[tuple[int, int, int]]:
        """``(slice index, prompt tokens, response tokens)`` for every slice with calls in it. Slice i is
        ``[starts[i], starts[i + 1])``, the last one ends before ``end``; ``starts`` must be in order."""
        edges = [to_microseconds(at) for at in (*starts, end)]
        index, source, conditions = _by_bucket(edges) if self._session.on_postgresql else _by_join(edges)
        if deployment_id is not None:
            conditions.append(table.c.deployment_id == deployment_id)
        if model_name is not None:
            conditions.append(table.c.model_name == model_name)
        if model_group_id is not None:
            members = select(models.c.name).where(models.c.model_group_id == model_group_id)
            conditions.append(table.c.model_name.in_(members))
        if accounts is not None:
            conditions.append(table.c.account_id.in_(accounts))
        statement = (
            select(index, func.sum(table.c.prompt_tokens), func.sum(table.c.response_tokens))
            .select_from(source)
            .where(*conditions)
            .group_by(index)
            .order_by(index)
        )
        found = await self._session.execute(statement)
        return [(int(position), int(prompt), int(response)) for position, prompt, response in found]


_Slicing = tuple[ColumnElement[int], FromClause, list[ColumnElement[bool]]]
_at = type_coerce(table.c.started_at, BigInteger)


def _by_bucket(edges: list[int]) -> _Slicing:
    """PostgreSQL finds each record's slice by a binary search in the edges, in one walk over an index."""
    bounds = bindparam("edges", edges[:-1], ARRAY(BigInteger))
    index = (func.width_bucket(_at, bounds, type_=Integer) - 1).label("slice")
    return index, table, [_at >= edges[0], _at < edges[-1]]


def _by_join(edges: list[int]) -> _Slicing:
    """SQLite walks the index once for each slice."""
    pairs = msgspec.json.encode(list(pairwise(edges))).decode()
    slices = func.json_each(bindparam("edges", pairs, Text)).table_valued("key", "value", name="slices")
    low = func.json_extract(slices.c.value, "$[0]", type_=BigInteger)
    high = func.json_extract(slices.c.value, "$[1]", type_=BigInteger)
    index: ColumnElement[int] = type_coerce(slices.c.key, Integer).label("slice")
    # SQLite keeps the order in which a CROSS JOIN is written: slices outside, the index inside.
    return index, slices.join(table, _at >= low), [_at < high]
