"""One engine for each database: SQLite tuned for one machine, PostgreSQL as it comes."""

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from modelyard.errors import ConfigurationError

READ_ONLY = "modelyard_read_only"
_BUSY_SECONDS = 30


def open_engine(url: str) -> AsyncEngine:
    """An engine for ``sqlite:///path`` or ``postgresql://…``; `ConfigurationError` for anything else."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise _unusable() from error
    match parsed.get_backend_name():
        case "sqlite":
            return _sqlite(parsed)
        case "postgresql" | "postgres":
            return _postgresql(parsed)
        case _:
            raise _unusable()


def _unusable() -> ConfigurationError:
    # The URL itself is not shown: it may hold a password.
    return ConfigurationError(
        "MODELYARD_DATABASE_URL is not a URL of a database that modelyard knows.",
        hint="Write sqlite:///path/to/file.db or postgresql://user:password@host:5432/name.",
    )


def _sqlite(url: URL) -> AsyncEngine:
    if not url.database:
        raise _unusable()
    Path(url.database).expanduser().parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(url.set(drivername="sqlite+aiosqlite"), connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine.sync_engine, "connect")
    def _tune(connection: Any, _: Any) -> None:
        # The driver must not begin transactions by itself: _begin below does, in the right mode.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            "cache_size=-65536",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer takes its lock first: one that upgraded later could find the database changed, and fail.
        read_only = connection.get_execution_options().get(READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _postgresql(url: URL) -> AsyncEngine:
    try:
        import asyncpg  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(
            "PostgreSQL needs a driver that is not installed.", hint="pip install 'modelyard[postgres]'"
        ) from error
    return create_async_engine(
        url.set(drivername="postgresql+asyncpg"), pool_pre_ping=True, pool_size=10, max_overflow=10
    )
