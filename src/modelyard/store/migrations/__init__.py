"""Schema migrations by Alembic, shipped inside the package and run over a given connection."""

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

_LOCK = 0x6D6F64656C79  # any number that nobody else locks


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest revision, inside the connection's transaction. A second process waits: on
    SQLite for the transaction's own write lock, on PostgreSQL for an advisory one."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    command.upgrade(_config(connection), "head")


def current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", "modelyard.store:migrations")
    config.attributes["connection"] = connection
    return config
