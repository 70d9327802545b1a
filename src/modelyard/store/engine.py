"""One engine for each database: SQLite tuned for one machine, PostgreSQL as it comes."""

import contextlib
import os
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from modelyard.errors import ConfigurationError

READ_ONLY = "modelyard_read_only"
BUSY_SECONDS = 10
"""How long a writer waits for its turn, and anybody for a connection that works: clients that wait for a minute, as
many do, are told 503 in time to come back."""
CONNECT_SECONDS = 5
STATEMENT_SECONDS = 20
"""A server that takes longer for one statement counts as away; usage over millions of calls takes about one."""

_PRAGMAS = (
    "journal_mode=WAL",  # readers and the writer do not wait for each other
    "synchronous=NORMAL",  # with WAL: a power cut may lose the last commits, never the database
    "foreign_keys=ON",
    "temp_store=MEMORY",
    "cache_size=-16384",
    "mmap_size=268435456",
)


def open_engine(url: str, *, patient: bool = False) -> AsyncEngine:
    """An engine for ``sqlite:///path`` or ``postgresql://…``; `ConfigurationError` for anything else.
    ``patient``: statements may take as long as they need."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise _unusable() from error
    match parsed.drivername:
        case "sqlite" | "sqlite+aiosqlite":
            return _sqlite(parsed)
        case "postgresql" | "postgres" | "postgresql+asyncpg":
            return _postgresql(parsed, patient=patient)
        case _:
            raise _unusable()


def _unusable() -> ConfigurationError:
    # The URL itself is not shown: it may hold a password.
    return ConfigurationError(
        "MODELYARD_DATABASE_URL is not a URL of a database that modelyard knows.",
        hint="Write sqlite:///path/to/file.db or postgresql://user:password@host:5432/name.",
    )


def _sqlite(url: URL) -> AsyncEngine:
    if not url.database or url.database == ":memory:" or url.host:
        # In memory every connection would have a database of its own.
        raise _unusable()
    path = Path(url.database).expanduser()
    _make_private(path)
    engine = create_async_engine(
        url.set(drivername="sqlite+aiosqlite", database=str(path)),
        connect_args={"timeout": BUSY_SECONDS},
        pool_size=8,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
    )
    event.listen(engine.sync_engine, "connect", _tune)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _make_private(path: Path) -> None:
    """The file holds digests of keys and what users configured: nobody else on the machine reads it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise ConfigurationError(
            f"The database {path} cannot be made: {error.strerror}.",
            hint="Choose another place with MODELYARD_DATA_DIR or MODELYARD_DATABASE_URL.",
        ) from error


def _tune(connection: Any, _: Any) -> None:
    # The driver must not begin transactions by itself: _begin does, in the right mode.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
    except BaseException:
        # The pool knows nothing of it yet, and its thread would stay.
        connection.close()
        raise


def _begin(connection: Connection) -> None:
    # A writer takes its lock first: one that upgraded later could find the database changed, and fail.
    read_only = connection.get_execution_options().get(READ_ONLY, False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _postgresql(url: URL, *, patient: bool) -> AsyncEngine:
    try:
        import asyncpg  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            "PostgreSQL needs a driver that is not installed.", hint="pip install 'modelyard[postgres]'"
        ) from error
    url, options = _driver_options(url)
    return create_async_engine(
        url.set(drivername="postgresql+asyncpg"),
        connect_args={
            "timeout": CONNECT_SECONDS,
            "command_timeout": None if patient else STATEMENT_SECONDS,
            **options,
        },
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=10,
        pool_timeout=BUSY_SECONDS,
    )


def _driver_options(url: URL) -> tuple[URL, dict[str, Any]]:
    """What PostgreSQL's own URLs say after the question mark, as asyncpg takes it."""
    query = dict(url.query)
    options: dict[str, Any] = {}
    if (mode := query.pop("sslmode", None)) is not None:
        options["ssl"] = mode
    if (name := query.pop("application_name", None)) is not None:
        options["server_settings"] = {"application_name": name}
    if unknown := sorted(set(query) - {"host", "port"}):
        raise ConfigurationError(
            f"MODELYARD_DATABASE_URL has options that modelyard does not know: {', '.join(unknown)}.",
            hint="It knows host, port, sslmode and application_name.",
        )
    return url.set(query=query), options
