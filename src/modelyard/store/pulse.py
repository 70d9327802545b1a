"""A cheap look at whether anything happened: for loops that ask every second and mostly hear no."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from modelyard.store.engine import READ_ONLY
from modelyard.store.faults import translated
from modelyard.store.tables import ROUTES_VERSION, counters, deployments
from modelyard.store.tables_of_vendors import RESTS_VERSION

_QUESTION = select(
    select(counters.c.value).where(counters.c.name == ROUTES_VERSION).scalar_subquery(),
    select(func.min(deployments.c.due_at)).scalar_subquery(),
    select(counters.c.value).where(counters.c.name == RESTS_VERSION).scalar_subquery(),
)


@dataclass(frozen=True, slots=True)
class Pulse:
    """As of now. Equal pulses do not mean that nothing was written, only that nobody has to act on it."""

    routes_version: int
    soonest_due: datetime | None
    """The earliest ``due_at`` of any deployment, claimed ones included."""
    rests_version: int
    """Of the rests of vendors' keys."""


class PulseReader:
    """On SQLite a kept connection is asked for its counter of other connections' commits first, which reads no
    table and starts no transaction; elsewhere every look is one statement."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._on_sqlite = engine.dialect.name == "sqlite"
        options = {READ_ONLY: True} if self._on_sqlite else {"isolation_level": "AUTOCOMMIT"}
        self._engine = engine.execution_options(**options)
        self._kept: AsyncConnection | None = None
        self._last: tuple[object, Pulse] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def read(self) -> Pulse:
        """`Unavailable` while the database cannot be used."""
        async with self._one_at_a_time:
            try:
                with translated():
                    return await (self._if_written() if self._on_sqlite else self._ask())
            except BaseException:
                await self._drop()
                raise

    async def aclose(self) -> None:
        async with self._one_at_a_time:
            await self._drop()

    async def _if_written(self) -> Pulse:
        if self._kept is None:
            self._kept = await self._engine.connect()
        driver = (await self._kept.get_raw_connection()).driver_connection
        assert driver is not None
        async with driver.execute("PRAGMA data_version") as cursor:
            commits = await cursor.fetchone()
        if self._last is None or self._last[0] != commits:
            self._last = (commits, await self._ask())
        return self._last[1]

    async def _ask(self) -> Pulse:
        async with self._engine.connect() as connection:
            version, due, rests = (await connection.execute(_QUESTION)).one()
        return Pulse(int(version), due, int(rests))

    async def _drop(self) -> None:
        kept, self._kept, self._last = self._kept, None, None
        if kept is not None:
            # Whatever state it is in, nobody else gets it.
            with translated():
                await kept.invalidate()
                await kept.close()
