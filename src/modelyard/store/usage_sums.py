"""Tokens over slices of time: whole hours from what is added up by the hour, the rest from the records themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
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
    Table,
    Text,
    bindparam,
    func,
    select,
    type_coerce,
)

from modelyard.store.columns import to_microseconds
from modelyard.store.session import Session
from modelyard.store.tables import models, usage, usage_hours
from modelyard.store.usage_hours import HOUR

_Interval = tuple[int, int, int]
"""(slice index, from, to), in microseconds; without the end."""


@dataclass(frozen=True, slots=True)
class Which:
    """Whose usage; None: everybody's."""

    deployment_id: str | None = None
    model_name: str | None = None
    model_group_id: str | None = None
    accounts: Sequence[str] | None = None


async def sums(session: Session, edges: Sequence[datetime], which: Which) -> list[tuple[int, int, int]]:
    """``(slice index, prompt tokens, response tokens)`` for every slice between two ``edges`` with calls in it."""
    whole, parts = _intervals([to_microseconds(at) for at in edges])
    found: dict[int, tuple[int, int]] = {}
    for table, at, intervals in (
        (usage_hours, usage_hours.c.hour, whole),
        (usage, usage.c.started_at, parts),
    ):
        for index, prompt, response in await _added(session, table, at, intervals, which):
            before = found.get(index, (0, 0))
            found[index] = (before[0] + prompt, before[1] + response)
    return [(index, *found[index]) for index in sorted(found)]


def _intervals(edges: Sequence[int]) -> tuple[list[_Interval], list[_Interval]]:
    """Each slice's whole hours, and what is left of it before and after them."""
    whole: list[_Interval] = []
    parts: list[_Interval] = []
    for index, (low, high) in enumerate(pairwise(edges)):
        first, last = -(-low // HOUR) * HOUR, high // HOUR * HOUR
        if first >= last:
            parts.append((index, low, high))
            continue
        whole.append((index, first, last))
        parts += [(index, begin, end) for begin, end in ((low, first), (last, high)) if begin < end]
    return whole, parts


async def _added(
    session: Session, table: Table, moment: ColumnElement[Any], intervals: Sequence[_Interval], which: Which
) -> list[tuple[int, int, int]]:
    if not intervals:
        return []
    at: ColumnElement[int] = type_coerce(moment, BigInteger)
    join = _join_on_postgresql if session.on_postgresql else _join_on_sqlite
    index, source, conditions = join(table, at, intervals)
    statement = (
        select(index, func.sum(table.c.prompt_tokens), func.sum(table.c.response_tokens))
        .select_from(source)
        .where(*conditions, *_conditions(table, which))
        .group_by(index)
    )
    found = await session.execute(statement)
    return [(int(position), int(prompt), int(response)) for position, prompt, response in found]


def _conditions(table: Table, which: Which) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if which.deployment_id is not None:
        conditions.append(table.c.deployment_id == which.deployment_id)
    if which.model_name is not None:
        conditions.append(table.c.model_name == which.model_name)
    if which.model_group_id is not None:
        members = select(models.c.name).where(models.c.model_group_id == which.model_group_id)
        conditions.append(table.c.model_name.in_(members))
    if which.accounts is not None:
        conditions.append(table.c.account_id.in_(which.accounts))
    return conditions


_Joined = tuple[ColumnElement[int], FromClause, list[ColumnElement[bool]]]


def _join_on_postgresql(table: Table, at: ColumnElement[int], intervals: Sequence[_Interval]) -> _Joined:
    columns = [bindparam(None, list(values), ARRAY(BigInteger)) for values in zip(*intervals, strict=True)]
    slices = func.unnest(*columns).table_valued("slice", "low", "high", name="slices").render_derived()
    index: ColumnElement[int] = type_coerce(slices.c.slice, Integer)
    low, high = type_coerce(slices.c.low, BigInteger), type_coerce(slices.c.high, BigInteger)
    return index, slices.join(table, at >= low), [at < high]


def _join_on_sqlite(table: Table, at: ColumnElement[int], intervals: Sequence[_Interval]) -> _Joined:
    text = msgspec.json.encode(intervals).decode()
    slices = func.json_each(bindparam(None, text, Text)).table_valued("value", name="slices")
    index, low, high = (func.json_extract(slices.c.value, f"$[{each}]", type_=BigInteger) for each in range(3))
    # SQLite keeps the order in which a CROSS JOIN is written: slices outside, the index inside.
    return index, slices.join(table, at >= low), [at < high]
