"""Usage by the minute, hour and day: added to in the transaction that writes the records."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite

from modelyard.domain.intervals import from_microseconds
from modelyard.domain.rollups import CLASSES, DIMENSIONS, SUMS, Rollups, Sum, Tokens
from modelyard.store.session import Session
from modelyard.store.tables_of_usage import usage_days, usage_hours, usage_minutes

ADDED = (*SUMS, *CLASSES)


async def add(session: Session, rollups: Rollups) -> None:
    """Add to what is there; at least one call. Tables and rows in one order for all: two writers then never wait for
    each other in a circle."""
    for table, values in (
        (usage_minutes, [_tokens(minute) for minute in rollups.minutes]),
        (usage_hours, _sums("hour", rollups.hours)),
        (usage_days, _sums("day", rollups.days)),
    ):
        # Row by row, with a statement that is always the same: compiling one for so many rows would take far longer.
        await session.execute(_adding(table, on_postgresql=session.on_postgresql), values)


@cache
def _adding(table: Table, *, on_postgresql: bool) -> Any:
    statement: Any = postgresql.insert(table) if on_postgresql else sqlite.insert(table)
    more = {name: table.c[name] + statement.excluded[name] for name in ADDED if name in table.c}
    key = [column.name for column in table.primary_key]
    return statement.on_conflict_do_update(index_elements=key, set_=more)


def _tokens(minute: Tokens) -> dict[str, Any]:
    return {
        "deployment_id": minute.deployment_id,
        "minute": from_microseconds(minute.at),
        "model_name": minute.model_name,
        "account_id": minute.account_id,
        "prompt_tokens": minute.prompt,
        "response_tokens": minute.response,
    }


def _sums(unit: str, sums: Sequence[Sum]) -> list[dict[str, Any]]:
    return [
        {
            unit: from_microseconds(each.at),
            "digest": each.digest,
            **dict(zip(DIMENSIONS, each.dimensions, strict=True)),
            **dict(zip(ADDED, each.added, strict=True)),
        }
        for each in sums
    ]
