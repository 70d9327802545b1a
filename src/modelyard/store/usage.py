"""Usage records, and their sums over slices of time."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Text,
    bindparam,
    func,
    select,
    type_coerce,
)

from modelyard.domain.usage import UsageRecord
from modelyard.store.columns import to_microseconds
from modelyard.store.session import Session
from modelyard.store.tables import usage as table

_FIELDS = tuple(column.name for column in table.columns if column.name not in ("verb", "outcome"))


def _values(record: UsageRecord) -> dict[str, Any]:
    values = {name: getattr(record, name) for name in _FIELDS}
    values["verb"] = record.verb.value
    values["outcome"] = record.outcome.value
    return values


class Usage:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, records: Sequence[UsageRecord]) -> None:
        """Write records; one that was written before is left as it is."""
        if records:
            statement = self._session.inserting(table).on_conflict_do_nothing()
            await self._session.execute(statement, [_values(record) for record in records])

    async def sums(
        self,
        starts: Sequence[datetime],
        end: datetime,
        *,
        deployment_id: str | None = None,
        model_name: str | None = None,
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
