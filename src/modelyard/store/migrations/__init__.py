"""Schema migrations by Alembic, shipped inside the package and run over a given connection."""

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from modelyard.errors import ConfigurationError

_LOCK = 0x6D6F64656C79  # any number that nobody else locks


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest revision, inside the connection's transaction. A second process waits: on
    SQLite for the transaction's own write lock, on PostgreSQL for an advisory one."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    config = _config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    at = current(connection)
    if at is not None and at not in known:
        raise ConfigurationError(
            f"The database's schema is at revision {at}, which this version of modelyard does not know.",
            hint="A newer version wrote it; use that one.",
        )
    command.upgrade(config, "head")


def current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def head() -> str | None:
    """The newest revision that this version knows."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", "modelyard.store:migrations")
    config.attributes["connection"] = connection
    return config
