"""A PostgreSQL server of a test's own that can be stopped, or frozen; and who reads usage records of either kind."""

import asyncio
import contextlib
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil

from postgres_server import started

Rows = list[tuple[str, int, int]]
"""Request id, prompt and response tokens of every usage record."""

_USAGE = "SELECT request_id, prompt_tokens, response_tokens FROM usage"


class Postgres:
    def __init__(self, directory: str) -> None:
        self._server = started(directory)

    @property
    def url(self) -> str:
        return str(self._server.get_uri("postgres"))

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def freeze(self) -> None:
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        leader = psutil.Process(self._server.get_pid())
        for process in [leader, *leader.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def rows(self) -> Rows:
        async def read() -> Rows:
            connection = await asyncpg.connect(self.url)
            try:
                return [tuple(row) for row in await connection.fetch(_USAGE)]
            finally:
                await connection.close()

        return asyncio.run(read())


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    # Not below pytest's own directory: as root the server runs as another user, whom that one shuts out.
    directory = tempfile.mkdtemp(prefix="modelyard-postgres-")
    server = Postgres(directory)
    try:
        yield server
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            server.thaw()
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def sqlite_rows(file: Path) -> Rows:
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as database:
        return database.execute(_USAGE).fetchall()
