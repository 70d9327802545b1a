"""The database goes away for a while: calls go on, usage is kept and written later, changes are refused for now."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from databases import postgres
from server_process import Start
from yard import TEMPLATE, Tell, Yard, adds_up, eventually, yard

from load import Counts

pytestmark = pytest.mark.timeout(480)

Paths = pytest.TempPathFactory
SECONDS = 10.0
"""How long the database is away, at least."""

CHANGES: tuple[Callable[[Yard], httpx.Response], ...] = (
    lambda there: there.api.patch(there.path, json={"deployment_metadata": {"tried": 1}}),
    lambda there: there.api.post("/v4/model-templates", json={**TEMPLATE, "name": "new"}),
)


async def without_database(there: Yard, counts: Counts, take: Callable[[], None], give: Callable[[], None]) -> None:
    async with there.load() as load:
        load.counts = counts
        await load.answered(40)
        take()
        try:
            # The first ones may have been under way; by the end there is no doubt that calls go on without it.
            refusals = [asyncio.create_task(asyncio.to_thread(change, there)) for change in CHANGES]
            await asyncio.gather(asyncio.sleep(SECONDS), load.answered(80))
            for answer in await asyncio.gather(*refusals):
                assert answer.status_code == 503, answer.text
                assert answer.json()["code"] in ("database_unavailable", "database_busy")
                assert int(answer.headers["retry-after"]) >= 1
        finally:
            give()
        await load.answered(40)
    await eventually(lambda: there.api.patch(there.path, json={"deployment_metadata": {"back": 1}}).status_code == 200)
    await there.settled(counts)
    await eventually(lambda: adds_up(there, counts))


@pytest.mark.parametrize("how", ["stopped", "frozen"])
def test_calls_go_on_while_postgresql_is_away(
    start_server: Start, tmp_path_factory: Paths, tell: Tell, how: str
) -> None:
    counts = Counts()
    with postgres() as database:
        settings = {"MODELYARD_DATABASE_URL": database.url}
        with yard(start_server, tmp_path_factory.mktemp("postgres"), counts, settings=settings) as there:
            there.rows = database.rows
            take, give = (database.stop, database.start) if how == "stopped" else (database.freeze, database.thaw)
            asyncio.run(without_database(there, counts, take, give))
    tell(f"PostgreSQL is {how} for {SECONDS:g} s", counts)
    assert counts.whole, counts


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(file, isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def test_calls_go_on_while_another_process_holds_sqlite(
    start_server: Start, tmp_path_factory: Paths, tell: Tell
) -> None:
    counts = Counts()
    with yard(start_server, tmp_path_factory.mktemp("sqlite"), counts) as there, contextlib.ExitStack() as held:

        def take() -> None:
            held.enter_context(locked(there.server.data_dir / "modelyard.db"))

        asyncio.run(without_database(there, counts, take, held.close))
    tell("SQLite is locked by another process", counts)
    assert counts.whole, counts
