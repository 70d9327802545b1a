"""The store: opened once, used through transactions."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from modelyard.store import migrations
from modelyard.store.accounts import Accounts
from modelyard.store.deployments import Deployments
from modelyard.store.engine import READ_ONLY, open_engine
from modelyard.store.faults import translated
from modelyard.store.idempotency import Idempotency
from modelyard.store.models import Models
from modelyard.store.templates import Templates
from modelyard.store.usage import Usage


class Transaction:
    """One transaction: an attribute for each noun."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.accounts = Accounts(connection)
        self.templates = Templates(connection)
        self.models = Models(connection)
        self.deployments = Deployments(connection)
        self.usage = Usage(connection)
        self.idempotency = Idempotency(connection)


class Store:
    """All methods raise `Unavailable` (code database_unavailable) while the database cannot be used."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # SQLite has one writer at a time; waiting here is fair and costs nothing, waiting there is neither.
        self._writer = asyncio.Lock() if engine.dialect.name == "sqlite" else None

    @classmethod
    async def open(cls, url: str) -> "Store":
        """``url`` as in the setting database_url; connects on first use."""
        return cls(open_engine(url))

    async def migrate(self) -> None:
        """Bring the schema to this version. Safe to be called by many processes at once."""
        with translated():
            async with self._engine.begin() as connection:
                await connection.run_sync(migrations.upgrade)

    async def schema_revision(self) -> str | None:
        """The migration the database is at; None for an empty one."""
        with translated():
            async with self._engine.connect() as connection:
                return await connection.run_sync(migrations.current)

    async def aclose(self) -> None:
        await self._engine.dispose()

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """A transaction: committed at the end of the block, rolled back by any exception."""
        async with self._writer or contextlib.nullcontext():
            with translated():
                async with self._engine.begin() as connection:
                    yield Transaction(connection)

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """A consistent view for reading; it waits for no writer."""
        with translated():
            async with self._engine.connect() as connection:
                yield Transaction(await connection.execution_options(**{READ_ONLY: True}))
