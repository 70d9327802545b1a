"""The store: opened once, used through transactions."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from modelyard.errors import Unavailable
from modelyard.store import migrations
from modelyard.store.accounts import Accounts
from modelyard.store.audit import AuditLog
from modelyard.store.call_bodies import CallBodies
from modelyard.store.call_logs import CallLogs
from modelyard.store.deployments import Deployments
from modelyard.store.engine import BUSY_SECONDS, READ_ONLY, open_engine
from modelyard.store.faults import cause_of, translated
from modelyard.store.gateways import Gateways
from modelyard.store.groups import Groups
from modelyard.store.idempotency import Idempotency
from modelyard.store.limits import Limits
from modelyard.store.models import Models
from modelyard.store.pulse import Pulse, PulseReader
from modelyard.store.revisions import Revisions
from modelyard.store.servers import Servers
from modelyard.store.session import Session
from modelyard.store.templates import Templates
from modelyard.store.usage import Usage
from modelyard.store.vendor_credentials import VendorCredentials
from modelyard.store.vendor_rests import VendorRests
from modelyard.store.worker_time import WorkerTime

PATIENCE_SECONDS = 60.0
"""How long a start waits for a file that others keep to themselves."""
_AGAIN_SECONDS = 0.2


class Transaction:
    """One transaction: an attribute for each noun."""

    def __init__(self, session: Session) -> None:
        self.accounts = Accounts(session)
        self.templates = Templates(session)
        self.groups = Groups(session)
        self.models = Models(session)
        self.deployments = Deployments(session)
        self.servers = Servers(session)
        self.revisions = Revisions(session)
        self.gateways = Gateways(session)
        self.limits = Limits(session)
        self.usage = Usage(session)
        self.worker_time = WorkerTime(session)
        self.vendor_credentials = VendorCredentials(session)
        self.vendor_rests = VendorRests(session)
        self.idempotency = Idempotency(session)
        self.audit = AuditLog(session)
        self.call_logs = CallLogs(session)
        self.call_bodies = CallBodies(session)


class Store:
    """Everything raises `Unavailable` (code database_unavailable) while the database cannot be used."""

    def __init__(self, url: str, engine: AsyncEngine) -> None:
        self._url = url
        self._engine = engine
        self._pulse = PulseReader(engine)
        self._on_sqlite = engine.dialect.name == "sqlite"
        # SQLite has one writer at a time; waiting here is fair and costs nothing, waiting there is neither.
        self._writer = asyncio.Lock()
        self._read_options: dict[str, Any] = (
            {READ_ONLY: True}
            if self._on_sqlite
            else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        )

    @classmethod
    async def open(cls, url: str) -> "Store":
        """``url`` as in the setting database_url; connects on first use."""
        return cls(url, open_engine(url))

    async def migrate(self) -> None:
        """Bring the schema to this version. Many processes may do so at once; one that finds a newer schema than
        its own raises `ConfigurationError`. While others keep an SQLite file to themselves, as a server may that is
        about to end, it tries again."""
        engine = open_engine(self._url, patient=True)
        give_up = time.monotonic() + PATIENCE_SECONDS
        try:
            while True:
                try:
                    with _telling(), translated():
                        async with engine.begin() as connection:
                            return await connection.run_sync(migrations.upgrade)
                except Unavailable as error:
                    if error.code != "database_busy" or time.monotonic() > give_up:
                        raise
                await asyncio.sleep(_AGAIN_SECONDS)
        finally:
            await engine.dispose()

    async def schema_revision(self) -> str | None:
        """The migration the database is at; None for an empty one."""
        with _telling(), translated():
            async with self._engine.connect() as connection:
                connection = await connection.execution_options(**self._read_options)
                return await connection.run_sync(migrations.current)

    async def pulse(self) -> Pulse:
        """Whether routes changed or a deployment is due: cheap enough to be asked every second."""
        return await self._pulse.read()

    async def aclose(self) -> None:
        await self._pulse.aclose()
        await self._engine.dispose()

    @contextlib.asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """A transaction: committed at the end of the block, rolled back by any exception. Do not nest them: on
        SQLite the inner one waits for the outer, and gives up after `BUSY_SECONDS` with `Unavailable`."""
        async with self._turn(), self._connected() as connection:
            with translated():
                transaction = await connection.begin()
            session = Session(connection)
            try:
                yield Transaction(session)
                await session.finish()
            except BaseException:
                with contextlib.suppress(Unavailable), translated():
                    await transaction.rollback()
                raise
            with translated():
                await transaction.commit()

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """One consistent view for reading; it waits for no writer."""
        async with self._connected() as connection:
            with translated():
                connection = await connection.execution_options(**self._read_options)
            yield Transaction(Session(connection))

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection]:
        async with contextlib.AsyncExitStack() as stack:
            # A server that hangs, rather than being gone, would also keep the look whether a connection still works.
            with translated():
                async with asyncio.timeout(BUSY_SECONDS):
                    connection = await stack.enter_async_context(self._engine.connect())
            yield connection

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if not self._on_sqlite:
            yield
            return
        try:
            async with asyncio.timeout(BUSY_SECONDS):
                await self._writer.acquire()
        except TimeoutError as error:
            raise Unavailable("The database is busy.", code="database_busy", hint="Try again.") from error
        try:
            yield
        finally:
            self._writer.release()


@contextlib.contextmanager
def _telling() -> Any:
    """Whoever starts a server or brings a schema up to date may know why the database cannot be used."""
    try:
        yield
    except Unavailable as error:
        cause = cause_of(error.__cause__ or error)
        raise Unavailable(
            f"The database cannot be used: {cause}.", code=error.code, hint="Check MODELYARD_DATABASE_URL."
        ) from error
