"""Usage in any cut, from what is added up by the day and hour."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Table,
    case,
    cast,
    func,
    literal,
    select,
    type_coerce,
    union_all,
)

from modelyard.domain.calendars import Equal, Listed, Slices, edges
from modelyard.domain.intervals import DAY, HOUR, Piece, from_microseconds, pieces, to_microseconds
from modelyard.domain.rollups import SUMS
from modelyard.domain.usage import Outcome
from modelyard.store.session import Session
from modelyard.store.tables_of_usage import usage_days, usage_hours
from modelyard.store.usage_rollups import ADDED

_FROM: Mapping[int, tuple[Table, ColumnElement[Any]]] = {
    DAY: (usage_days, usage_days.c.day),
    HOUR: (usage_hours, usage_hours.c.hour),
}
"""What has the sums of a unit, the longest first, and when each begins."""


@dataclass(frozen=True, slots=True)
class Row:
    """Usage of one group: its values in the dimensions that were asked for, and the sums."""

    at: int | None
    """What its slice of time is called, where time was asked for."""
    group: tuple[str, ...]
    sums: tuple[int, ...]
    """As `modelyard.domain.rollups.SUMS`."""
    classes: tuple[int, ...]
    errors: int
    """Calls that ended with one."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is to be told of usage."""

    group_by: Sequence[str] = ()
    """Of `modelyard.domain.rollups.DIMENSIONS`."""
    cut: Slices | None = None
    """How time is told apart; None: not at all."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Values of dimensions."""
    accounts: Sequence[str] | None = None
    limit: int = 10_000


async def report(session: Session, start: datetime, end: datetime, query: Query) -> list[Row]:
    """Sums over the whole hours in ``[start, end)``, in the order of time, then the most called first."""
    if isinstance(query.cut, Equal) and query.cut.length == HOUR:
        end = await _end_of_lines(session, start, end, query)
    parts = [_part(each, query) for each in pieces(to_microseconds(start), to_microseconds(end), _units(query.cut))]
    if not parts:
        return []
    source = (parts[0] if len(parts) == 1 else union_all(*parts)).subquery("parts")
    keys = [*([source.c.slice] if query.cut is not None else []), *(source.c[name] for name in query.group_by)]
    sums = [_sum(session, source.c[name]) for name in (*ADDED, "errors")]
    first = keys[: query.cut is not None]
    order = [*first, sums[0].desc(), *keys[len(first) :]]
    found = await session.execute(select(*keys, *sums).group_by(*keys).order_by(*order).limit(query.limit))
    # Without a group there is one row, of nothing where there was no call.
    return [_row(tuple(each), len(keys), len(first)) for each in found if each[len(keys)] is not None]


async def span(session: Session) -> tuple[datetime, datetime] | None:
    """The hours of the first and of the last call that there is."""
    hour = usage_hours.c.hour
    first, last = [(await session.execute(select(edge(hour)))).scalar_one() for edge in (func.min, func.max)]
    return None if first is None else (first, last)


async def _end_of_lines(session: Session, start: datetime, end: datetime, query: Query) -> datetime:
    """An hour with calls has a line at least: those after the first so many need not be read."""
    hour = usage_hours.c.hour
    last = select(hour).where(hour >= start, hour < end, *_conditions(usage_hours, query)).distinct().order_by(hour)
    found = (await session.execute(last.limit(1).offset(query.limit))).scalar_one_or_none()
    return end if found is None else found


def _part(piece: Piece, query: Query) -> Select[Any]:
    table, moment = _FROM[piece.unit]
    at: ColumnElement[int] = type_coerce(moment, BigInteger)
    keys: list[ColumnElement[Any]] = [table.c[name] for name in query.group_by]
    if query.cut is not None:
        keys = [_slice(query.cut, at).label("slice"), *keys]
    errors = case((table.c.outcome == Outcome.ERROR.value, table.c.calls), else_=0).label("errors")
    within = (moment >= from_microseconds(piece.low), moment < from_microseconds(piece.high))
    statement = select(*keys, *(table.c[name] for name in ADDED), errors)
    return statement.where(*within, *_conditions(table, query))


def _units(cut: Slices | None) -> Sequence[int]:
    """Of which each slice consists."""
    return [unit for unit in _FROM if cut is None or all(edge % unit == 0 for edge in edges(cut))]


def _slice(cut: Slices, at: ColumnElement[int]) -> ColumnElement[int]:
    """What the slice is called in which ``at`` is."""
    if isinstance(cut, Listed):
        return _by_time(at, [(start, literal(start, BigInteger)) for start in cut.starts])
    local = _by_time(at, [(since, at + by) for since, by in cut.ahead])
    return local - (local - cut.origin) % cut.length


def _by_time(at: ColumnElement[int], since: Sequence[tuple[int, ColumnElement[int]]]) -> ColumnElement[int]:
    (_, first), *later = since
    return case(*((at >= begin, value) for begin, value in reversed(later)), else_=first) if later else first


def _conditions(table: Table, query: Query) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [table.c[name] == value for name, value in query.where.items()]
    if query.accounts is not None:
        conditions.append(table.c.account_id.in_(query.accounts))
    return conditions


def _sum(session: Session, column: ColumnElement[int]) -> ColumnElement[int]:
    """An integer; by themselves PostgreSQL's sums are decimals, and telling so of each of thousands takes its time."""
    return cast(func.sum(column), BigInteger) if session.on_postgresql else func.sum(column)


def _row(values: tuple[Any, ...], keys: int, first: int) -> Row:
    sums, classes = keys + len(SUMS), keys + len(ADDED)
    return Row(values[0] if first else None, values[first:keys], values[keys:sums], values[sums:classes], values[-1])
