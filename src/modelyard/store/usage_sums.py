"""Tokens over slices of time: from what is added up by the day, hour and minute, and at edges from the records."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
    cast,
    exists,
    func,
    literal_column,
    select,
    type_coerce,
)

from modelyard.domain.intervals import DAY, HOUR, MINUTE, RECORDS, shares, to_microseconds
from modelyard.store.session import Session
from modelyard.store.tables import models
from modelyard.store.tables_of_usage import usage, usage_days, usage_hours, usage_minutes

_FROM: Mapping[int, tuple[Table, ColumnElement[Any]]] = {
    DAY: (usage_days, usage_days.c.day),
    HOUR: (usage_hours, usage_hours.c.hour),
    MINUTE: (usage_minutes, usage_minutes.c.minute),
    RECORDS: (usage, usage.c.started_at),
}
"""What has the sums of a unit, the longest first, and when each begins."""

_Interval = tuple[int, int]
"""From, to, in microseconds; without the end."""


@dataclass(frozen=True, slots=True)
class Which:
    """Whose usage; None: everybody's."""

    deployment_id: str | None = None
    model_name: str | None = None
    model_group_id: str | None = None
    accounts: Sequence[str] | None = None


async def sums(session: Session, edges: Sequence[datetime], which: Which) -> list[tuple[int, int, int]]:
    """``(slice index, prompt tokens, response tokens)`` for every slice between two ``edges`` with tokens in it."""
    found: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    for unit, parts in shares([to_microseconds(at) for at in edges], tuple(_FROM)).items():
        intervals = list(parts)
        for position, prompt, response in await _added(session, unit, intervals, which):
            for index, sign in parts[intervals[position]]:
                found[index][0] += sign * prompt
                found[index][1] += sign * response
    return [(index, *found[index]) for index in sorted(found) if any(found[index])]  # type: ignore[misc]


async def is_known(session: Session, model_name: str, accounts: Sequence[str]) -> bool:
    """Whether one of these ever called a model of this name."""
    called = exists().where(usage_days.c.model_name == model_name, usage_days.c.account_id.in_(accounts))
    return bool((await session.execute(select(called))).scalar_one())


async def _added(
    session: Session, unit: int, intervals: Sequence[_Interval], which: Which
) -> list[tuple[int, int, int]]:
    table, moment = _FROM[unit]
    at: ColumnElement[int] = type_coerce(moment, BigInteger)
    listed = _listed_on_postgresql(intervals) if session.on_postgresql else _listed_on_sqlite(intervals)
    # A question for each interval leads along the index, on either database; a join has its groups sorted on SQLite and
    # may read the whole table on PostgreSQL. One text, since it can have one column only.
    both = cast(func.sum(table.c.prompt_tokens), Text) + " " + cast(func.sum(table.c.response_tokens), Text)
    within = (at >= listed.low, at < listed.high, *_conditions(session, table, which))
    tokens = select(both).where(*within).correlate(listed.source).scalar_subquery()
    found = await session.execute(select(listed.position, tokens).select_from(listed.source))
    return [(position, *_two(told)) for position, told in found if told is not None]


def _two(told: str) -> tuple[int, int]:
    prompt, response = told.split()
    return int(prompt), int(response)


def _conditions(session: Session, table: Table, which: Which) -> Iterable[ColumnElement[bool]]:
    if which.deployment_id is not None:
        yield _column(session, table, "deployment_id") == which.deployment_id
    if which.model_name is not None:
        yield _column(session, table, "model_name") == which.model_name
    if which.model_group_id is not None:
        members = select(models.c.name).where(models.c.model_group_id == which.model_group_id)
        yield _column(session, table, "model_name").in_(members)
    if which.accounts is not None:
        yield _column(session, table, "account_id").in_(which.accounts)


def _column(session: Session, table: Table, name: str) -> ColumnElement[str]:
    """Of records only a deployment's index and the time lead to those that are wanted; SQLite would walk the whole
    account instead."""
    if table is usage and name != "deployment_id" and not session.on_postgresql:
        return literal_column(f"+usage.{name}", table.c[name].type)
    return table.c[name]


@dataclass(frozen=True, slots=True)
class _Listed:
    """Intervals as rows of a query."""

    source: FromClause
    position: ColumnElement[int]
    low: ColumnElement[int]
    high: ColumnElement[int]


def _listed_on_postgresql(intervals: Sequence[_Interval]) -> _Listed:
    numbered = [(position, low, high) for position, (low, high) in enumerate(intervals)]
    columns = [bindparam(None, list(values), ARRAY(BigInteger)) for values in zip(*numbered, strict=True)]
    listed = func.unnest(*columns).table_valued("position", "low", "high", name="pieces").render_derived()
    low, high = type_coerce(listed.c.low, BigInteger), type_coerce(listed.c.high, BigInteger)
    return _Listed(listed, type_coerce(listed.c.position, Integer), low, high)


def _listed_on_sqlite(intervals: Sequence[_Interval]) -> _Listed:
    text = msgspec.json.encode(intervals).decode()
    listed = func.json_each(bindparam(None, text, Text)).table_valued("key", "value", name="pieces")
    low, high = (func.json_extract(listed.c.value, f"$[{each}]", type_=BigInteger) for each in range(2))
    return _Listed(listed, type_coerce(listed.c.key, Integer), low, high)
