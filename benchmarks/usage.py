"""Usage over a year of a busy deployment: its statistics and reports, from the store alone.

python benchmarks/usage.py                              # SQLite, in a temporary folder
python benchmarks/usage.py postgresql://user@host/name  # an empty database of that server

Ten calls a second, told apart by five keys and two outcomes: 315 million calls in a year, added up in 87,600 rows. Of
the records themselves only those of the hours are made that the queries look at.
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, text

from modelyard.domain.rollups import CLASSES, DIMENSIONS, SUMS, Hour, hour_of
from modelyard.domain.usage import Outcome, slice_starts
from modelyard.store import Store, tables
from modelyard.store.usage_hours import Query
from modelyard.testing.usage import make_usage
from report import machine, middle, spread, table

YEAR = datetime(2025, 1, 1, tzinfo=UTC)
HOURS, KEYS, CALLS_PER_HOUR, RUNS = 8760, 5, 36_000, 15
RAGGED = YEAR + timedelta(minutes=17, seconds=3)
END, RAGGED_END = YEAR + timedelta(hours=HOURS), YEAR + timedelta(hours=HOURS - 1, minutes=29)
DEPLOYMENT = {"deployment_id": "busy", "model_id": "m", "model_name": "busy", "account_id": "a", "identity_id": "i"}
OTHERS = 20
"""Other deployments, so that an index has something to leave out."""


def _hour(number: int, key: int, outcome: Outcome, deployment: str) -> dict[str, object]:
    record = make_usage(**{**DEPLOYMENT, "deployment_id": deployment}, key_id=f"k{key}", outcome=outcome)
    values = {name: getattr(record, name) for name in DIMENSIONS if name not in ("vendor", "verb", "outcome")}
    dimensions = {**values, "vendor": "", "verb": record.verb.value, "outcome": outcome.value}
    hour = Hour(YEAR + timedelta(hours=number), tuple(dimensions[name] for name in DIMENSIONS))
    sums = dict.fromkeys((*SUMS, *CLASSES), CALLS_PER_HOUR // (2 * KEYS))
    return {"hour": hour.hour, "digest": hour.digest, **dimensions, **sums}


async def fill(store: Store) -> None:
    chance = random.Random(1)
    async with store.begin() as tx:
        session = tx.usage._session
        for number in range(HOURS):
            rows = [
                _hour(number, key, outcome, "busy") for key in range(KEYS) for outcome in (Outcome.OK, Outcome.ERROR)
            ]
            rows += [_hour(number, 0, Outcome.OK, f"other {each}") for each in range(OTHERS if number % 10 == 0 else 0)]
            await session.execute(insert(tables.usage_hours), rows)
        for edge in sorted({hour_of(at) for at in slice_starts(RAGGED, RAGGED_END, 12)} | {hour_of(RAGGED_END)}):
            records = [
                make_usage(**DEPLOYMENT, started_at=edge + timedelta(seconds=3600 * chance.random()))
                for _ in range(CALLS_PER_HOUR)
            ]
            columns = [column.name for column in tables.usage.columns]
            values = [{name: getattr(record, name) for name in columns} for record in records]
            await session.execute(insert(tables.usage), values)


async def settle(store: Store) -> None:
    if store._engine.dialect.name == "postgresql":
        async with store._engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("VACUUM ANALYZE"))


def _sums(store: Store, start: datetime, end: datetime, chunks: int) -> Callable[[], Awaitable[int]]:
    async def ask() -> int:
        async with store.read() as tx:
            return len(await tx.usage.sums(slice_starts(start, end, chunks), end, deployment_id="busy", accounts=["a"]))

    return ask


def _report(store: Store, query: Query) -> Callable[[], Awaitable[int]]:
    async def ask() -> int:
        async with store.read() as tx:
            return len(await tx.usage.report(YEAR, END, query))

    return ask


async def measure(url: str) -> None:
    store = await Store.open(url)
    try:
        await store.migrate()
        await fill(store)
        await settle(store)
        where = {"deployment_id": "busy"}
        asked = {
            "statistics, 12 slices, whole hours": _sums(store, YEAR, END, 12),
            "statistics, 365 slices, whole hours": _sums(store, YEAR, END, 365),
            "statistics, 12 slices, edges within hours": _sums(store, RAGGED, RAGGED_END, 12),
            "report by key": _report(store, Query(("key_id",), where=where, accounts=["a"])),
            "report by day": _report(store, Query((), 24, where, ["a"])),
        }
        lines = []
        for name, ask in asked.items():
            taken = []
            for _ in range(RUNS + 1):
                begun = time.perf_counter()
                assert await ask()
                taken.append(1000 * (time.perf_counter() - begun))
            lines.append([name, f"{middle(taken[1:]):.1f}", spread(taken[1:])])
    finally:
        await store.aclose()
    print(f"A year of a busy deployment, {url.partition(':')[0]}; {machine()}\n")
    print(table(["asked", "ms, median", f"of {RUNS}"], lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", help="an empty database; a temporary SQLite file if not given")
    url = parser.parse_args().url
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(url or f"sqlite:///{folder}/usage.db"))


if __name__ == "__main__":
    main()
