"""Usage by the hour: added to in the transaction that writes the records, and read instead of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, case, func, select, type_coerce

from modelyard.domain.rollups import CLASSES, DIMENSIONS, SUMS, Hour
from modelyard.domain.usage import Outcome
from modelyard.store.session import Session
from modelyard.store.tables import usage_hours as table

_ADDED = (*SUMS, *CLASSES)

HOUR = 3_600_000_000
"""Microseconds in an hour."""


@dataclass(frozen=True, slots=True)
class Row:
    """Usage of one group: its values in the dimensions that were asked for, and the sums."""

    at: datetime | None
    """The start of its slice of time, where time was asked for."""
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
    slice_hours: int | None = None
    """Slices of so many hours, counted from 1970; None: all time together."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Values of dimensions."""
    accounts: Sequence[str] | None = None
    limit: int = 10_000


async def add(session: Session, hours: Sequence[Hour]) -> None:
    """Add to what is there; at least one. Sorted, as `by_hour` gives them: two writers then never wait for each other
    in a circle."""
    statement = session.inserting(table)
    more = {name: table.c[name] + statement.excluded[name] for name in _ADDED}
    statement = statement.on_conflict_do_update(index_elements=["hour", "digest"], set_=more)
    # Row by row, with a statement that is always the same: compiling one for so many rows would take far longer.
    await session.execute(statement, [_values(hour) for hour in hours])


def _values(hour: Hour) -> dict[str, Any]:
    return {
        "hour": hour.hour,
        "digest": hour.digest,
        **dict(zip(DIMENSIONS, hour.dimensions, strict=True)),
        **dict(zip(SUMS, hour.sums, strict=True)),
        **dict(zip(CLASSES, hour.classes, strict=True)),
    }


async def report(session: Session, start: datetime, end: datetime, query: Query) -> list[Row]:
    """Sums over the whole hours in ``[start, end)``, in the order of time, then the most called first."""
    at: ColumnElement[int] = type_coerce(table.c.hour, BigInteger)
    keys: list[ColumnElement[Any]] = [table.c[name] for name in query.group_by]
    if query.slice_hours is not None:
        keys = [type_coerce(at - at % (query.slice_hours * HOUR), table.c.hour.type).label("slice"), *keys]
    errors = func.sum(case((table.c.outcome == Outcome.ERROR.value, table.c.calls), else_=0))
    sums = [*(func.sum(table.c[name]) for name in _ADDED), errors]
    conditions = [table.c.hour >= start, table.c.hour < end]
    conditions += [table.c[name] == value for name, value in query.where.items()]
    if query.accounts is not None:
        conditions.append(table.c.account_id.in_(query.accounts))
    first = keys[:1] if query.slice_hours is not None else []
    statement = select(*keys, *sums).where(*conditions).group_by(*keys)
    found = await session.execute(statement.order_by(*first, sums[0].desc(), *keys[len(first) :]).limit(query.limit))
    # Without a group there is one row, of nothing where there was no call.
    return [_row(tuple(each), len(keys), len(first)) for each in found if each[len(keys)] is not None]


def _row(values: tuple[Any, ...], keys: int, first: int) -> Row:
    numbers = tuple(int(value) for value in values[keys:])
    at = values[0] if first else None
    return Row(at, values[first:keys], numbers[: len(SUMS)], numbers[len(SUMS) : -1], numbers[-1])
