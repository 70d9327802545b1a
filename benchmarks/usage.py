"""Usage over a year of a busy deployment: its statistics and reports, from the store alone.

python benchmarks/usage.py                              # SQLite, in a temporary folder
python benchmarks/usage.py postgresql://user@host/name  # an empty database of that server

Ten calls a second, told apart by five keys and two outcomes: 315 million calls in a year, added up in 525,600 rows of a
minute, 87,600 of an hour and 3,650 of a day. Of the records themselves only those are made that the queries read: from
each edge to the nearest minute.
Processor time is this process's: everything on SQLite, asking and reading on PostgreSQL. On a busy machine that is what
can be compared.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert, text

from modelyard.domain.calendars import Slices, slices
from modelyard.domain.rollups import CLASSES, DIMENSIONS, SUMS, digest
from modelyard.domain.usage import Outcome, slice_starts
from modelyard.store import Store, usage_rows
from modelyard.store.tables_of_usage import usage_days, usage_hours, usage_minutes
from modelyard.store.usage_reports import Query
from modelyard.testing.usage import make_usage
from report import machine, middle, spread, table

YEAR = datetime(2025, 1, 1, tzinfo=UTC)
DAYS, KEYS, CALLS_PER_MINUTE, RUNS = 365, 5, 600, 15
END = YEAR + timedelta(days=DAYS)
RAGGED, RAGGED_END = YEAR + timedelta(minutes=17, seconds=3), END - timedelta(minutes=31, seconds=0.5)
LATE, EARLY = YEAR + timedelta(hours=7), END - timedelta(hours=5)
BUSY = {"deployment_id": "busy", "model_id": "m", "model_name": "busy", "account_id": "a", "identity_id": "i"}
OTHERS = 20
"""Other deployments, so that an index has something to leave out."""


def _sums(unit: str, at: datetime, calls: int) -> Iterator[dict[str, Any]]:
    busy = [(BUSY, f"k{key}", outcome) for key in range(KEYS) for outcome in (Outcome.OK, Outcome.ERROR)]
    others = [({**BUSY, "deployment_id": f"other {each}"}, "k0", Outcome.OK) for each in range(OTHERS)]
    for changes, key, outcome in [*busy, *(others if at.hour % 10 == 0 else [])]:
        record = make_usage(**changes, key_id=key, outcome=outcome)
        dimensions = [str(getattr(record, name) or "") for name in DIMENSIONS]
        sums = dict.fromkeys((*SUMS, *CLASSES), calls // len(busy))
        yield {unit: at, "digest": digest(dimensions), **dict(zip(DIMENSIONS, dimensions, strict=True)), **sums}


def _minutes(day: datetime) -> Iterator[dict[str, Any]]:
    for number in range(24 * 60):
        at = day + timedelta(minutes=number)
        names = {"deployment_id": "busy", "model_name": "busy", "account_id": "a"}
        yield {"minute": at, **names, "prompt_tokens": CALLS_PER_MINUTE, "response_tokens": CALLS_PER_MINUTE}


async def fill(store: Store, edges: Sequence[datetime]) -> None:
    for number in range(DAYS):
        day = YEAR + timedelta(days=number)
        async with store.begin() as tx:
            execute = tx.usage._session.execute
            hours = [row for hour in range(24) for row in _sums("hour", day + timedelta(hours=hour), 60 * 600)]
            await execute(insert(usage_hours), hours)
            await execute(insert(usage_days), list(_sums("day", day, 24 * 60 * 600)))
            await execute(insert(usage_minutes), list(_minutes(day)))
    for start in range(0, len(edges), 100):
        async with store.begin() as tx:
            for edge in edges[start : start + 100]:
                await usage_rows.insert(tx.usage._session, [make_usage(**BUSY, started_at=at) for at in _near(edge)])


def _near(edge: datetime) -> list[datetime]:
    """When calls began between an edge and the nearest minute."""
    minute = (edge + timedelta(seconds=30)).replace(second=0, microsecond=0)
    low, high = sorted((edge, minute))
    step = timedelta(minutes=1) / CALLS_PER_MINUTE
    return [low + number * step for number in range((high - low) // step)]


async def settle(store: Store) -> None:
    if store._engine.dialect.name == "postgresql":
        async with store._engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("VACUUM ANALYZE"))


def _statistics(store: Store, start: datetime, end: datetime, chunks: int) -> Callable[[], Awaitable[int]]:
    async def ask() -> int:
        async with store.read() as tx:
            return len(await tx.usage.sums(slice_starts(start, end, chunks), end, deployment_id="busy", accounts=["a"]))

    return ask


def _report(
    store: Store, start: datetime, end: datetime, group_by: Sequence[str], cut: Slices | None, **more: Any
) -> Callable[[], Awaitable[int]]:
    query = Query(group_by, cut, **{"where": {"deployment_id": "busy"}, "accounts": ["a"], **more})

    async def ask() -> int:
        async with store.read() as tx:
            return len(await tx.usage.report(start, end, query))

    return ask


def _asked(store: Store, many: int) -> dict[str, Callable[[], Awaitable[int]]]:
    asked = {}
    for chunks, end in ((12, END - timedelta(days=5)), (365, END)):
        asked[f"statistics, {chunks} slices, whole days"] = _statistics(store, YEAR, end, chunks)
    for chunks in (12, 365, many):
        asked[f"statistics, {chunks} slices, edges anywhere"] = _statistics(store, RAGGED, RAGGED_END, chunks)
    for what, start, end in (("whole days", YEAR, END), ("from 7:00 to 19:00", LATE, EARLY)):
        days = slices("day", UTC, start, end)
        asked[f"report by key, {what}"] = _report(store, start, end, ("key_id",), None)
        asked[f"report by day, {what}"] = _report(store, start, end, (), days)
        asked[f"report by day and key, {what}"] = _report(store, start, end, ("key_id",), days)
    asked["report by deployment"] = _report(store, YEAR, END, ("deployment_id",), None, where={})
    asked["report by month and key"] = _report(store, YEAR, END, ("key_id",), slices("month", UTC, YEAR, END))
    for interval in ("month", "day"):
        cut = slices(interval, ZoneInfo("Europe/Berlin"), YEAR, END)
        asked[f"report by {interval} and key, in Berlin"] = _report(store, YEAR, END, ("key_id",), cut)
    hours = slices("hour", UTC, YEAR, END)
    asked["report by hour, the first 1,000 lines"] = _report(store, YEAR, END, (), hours, limit=1001)
    asked["report by hour, all 8,760 lines"] = _report(store, YEAR, END, (), hours, limit=10_001)
    return asked


async def measure(url: str, many: int) -> None:
    store = await Store.open(url)
    try:
        await store.migrate()
        edges = {at for chunks in (12, 365, many) for at in (*slice_starts(RAGGED, RAGGED_END, chunks), RAGGED_END)}
        await fill(store, sorted(edges))
        await settle(store)
        lines = []
        for name, ask in _asked(store, many).items():
            taken, worked = [], []
            for _ in range(RUNS + 1):
                begun, before = time.perf_counter(), time.process_time()
                assert await ask()
                taken.append(1000 * (time.perf_counter() - begun))
                worked.append(1000 * (time.process_time() - before))
            lines.append([name, f"{middle(taken[1:]):.1f}", spread(taken[1:]), f"{middle(worked[1:]):.1f}"])
    finally:
        await store.aclose()
    print(f"A year of a busy deployment, {url.partition(':')[0]}; {machine()}\n")
    print(table(["asked", "ms, median", f"of {RUNS}", "processor, ms"], lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", help="an empty database; a temporary SQLite file if not given")
    parser.add_argument("--many", type=int, default=1000, help="a number of slices; 10,000 take minutes to prepare")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(given.url or f"sqlite:///{folder}/usage.db", given.many))


if __name__ == "__main__":
    main()
