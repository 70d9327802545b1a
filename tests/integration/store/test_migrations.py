"""The schema: made by any number of processes at once, equal to what the code says, never older than it."""

import asyncio
import os
import stat
import subprocess
import sys
from datetime import timedelta

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, text

from modelyard.errors import ConfigurationError
from modelyard.store import Store, migrations
from modelyard.store.call_logs import CallQuery
from modelyard.store.engine import open_engine
from modelyard.store.tables import metadata

MIGRATE = """
import asyncio, sys
from modelyard.store import Store

async def main():
    store = await Store.open(sys.argv[1])
    sys.stdin.readline()
    await store.migrate()
    async with store.read() as tx:
        assert await tx.deployments.routes_version() == 0
    print(await store.schema_revision())
    await store.aclose()

print("here", flush=True)
asyncio.run(main())
"""


def test_many_processes_may_migrate_at_once(empty_url):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, empty_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(5)
    ]
    for process in processes:
        assert process.stdout.readline() == "here\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, errors = process.communicate(timeout=60)
        assert (out.strip(), process.returncode) == (migrations.head(), 0), errors


async def test_migrating_again_changes_nothing(empty_url):
    store = await Store.open(empty_url)
    assert await store.schema_revision() is None
    for _ in range(2):
        await store.migrate()
        assert await store.schema_revision() == migrations.head()
    await store.aclose()


async def test_the_migrated_schema_is_what_the_code_says(url):
    engine = open_engine(url)
    async with engine.connect() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(
                MigrationContext.configure(sync, opts={"compare_type": True, "compare_server_default": True}), metadata
            )
        )
    await engine.dispose()
    assert differences == []


BEFORE_1970 = timedelta(days=-25_000, seconds=100)


@pytest.mark.parametrize(("since", "more"), [("0015", [BEFORE_1970]), ("0006", [])])
async def test_usage_that_is_there_already_is_added_up(url, make, now, since, more):
    """What comes with the migrations is what would be there had every call been added up at once."""
    moments = [timedelta(0), timedelta(seconds=59), timedelta(minutes=1), timedelta(hours=23), timedelta(days=1)]
    store = await Store.open(url)
    async with store.begin() as tx:
        await tx.usage.add(
            [
                make.usage(started_at=now + by, deployment_id=deployment, total_seconds=seconds, prompt_tokens=2**40)
                for by in (*moments, -moments[1], *more)
                for deployment in ("one", "two")
                for seconds in (0.1, 1000.0)
            ]
        )
    tables = [metadata.tables[name] for name in ("usage", "usage_minutes", "usage_hours", "usage_days")]

    async def rows(connection):
        return [sorted((await connection.execute(select(table))).all()) for table in tables]

    async with store._engine.begin() as connection:
        before = await rows(connection)
        await connection.run_sync(lambda sync: command.downgrade(migrations._config(sync), since))
        found = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
        assert {"usage_minutes", "usage_days"}.isdisjoint(found)
        assert ("usage_hours" in found) is (since > "0006")
    await store.migrate()
    async with store._engine.begin() as connection:
        assert await rows(connection) == before
    assert [len(each) for each in before] == ([28, 12, 10, 8] if more else [24, 10, 8, 6])
    await store.aclose()


@pytest.mark.parametrize("left", [3, 0])
async def test_calls_are_counted_though_some_had_ended_before_the_migration(url, make, now, left):
    """Whose sums are there still."""
    store = await Store.open(url)
    async with store.begin() as tx:
        await tx.usage.add([make.usage(started_at=now + timedelta(hours=hour), account_id="a") for hour in range(48)])
        await tx.call_logs.forget_before(now + timedelta(hours=48 - left), 1000)
    async with store._engine.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(migrations._config(sync), "0016"))
    await store.migrate()
    async with store.read() as tx:
        assert (await tx.call_logs.page(CallQuery(["a"]))).total == left
    await store.aclose()


async def test_a_newer_schema_is_left_alone(url):
    store = await Store.open(url)
    async with store.begin() as tx:
        await tx.models._session.execute(text("UPDATE alembic_version SET version_num = 'from the future'"))
    with pytest.raises(ConfigurationError, match="from the future"):
        await store.migrate()
    assert await store.schema_revision() == "from the future"
    await store.aclose()


async def test_a_migration_that_is_cut_off_leaves_nothing(empty_url, monkeypatch):
    upgrade = migrations.upgrade

    def cut_off(connection):
        upgrade(connection)
        raise ZeroDivisionError

    store = await Store.open(empty_url)
    monkeypatch.setattr(migrations, "upgrade", cut_off)
    with pytest.raises(ZeroDivisionError):
        await store.migrate()
    assert await store.schema_revision() is None
    monkeypatch.undo()
    await store.migrate()
    assert await store.schema_revision() == migrations.head()
    await store.aclose()


def test_nobody_else_reads_a_sqlite_file(tmp_path):
    path = tmp_path / "new" / "directory" / "test.db"

    async def use():
        store = await Store.open(f"sqlite:///{path}")
        await store.migrate()
        async with store.begin() as tx:
            tx.models._session.routes_changed()
        modes = {each.name: stat.S_IMODE(os.stat(each).st_mode) for each in path.parent.iterdir()}
        await store.aclose()
        return modes

    modes = asyncio.run(use())
    assert "test.db" in modes
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("asked", ["upgrade", "current"])
def test_the_db_command(empty_url, asked):
    def run(what):
        environment = {**os.environ, "MODELYARD_DATABASE_URL": empty_url}
        code = "from modelyard.cli.db import app; app()"
        return subprocess.run(
            [sys.executable, "-c", code, what], env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    empty = run("current")
    assert (empty.returncode, empty.stdout.split()[0]) == (0, "empty"), empty.stderr
    if asked == "upgrade":
        assert migrations.head() in run("upgrade").stdout
        assert run("current").stdout.split()[0] == migrations.head()
