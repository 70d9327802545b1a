"""A counter that tells when what can be called has changed, so that nobody has to look at all of it."""

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from modelyard.store.tables import ROUTES_VERSION, counters


async def bump_routes(connection: AsyncConnection) -> None:
    await connection.execute(
        update(counters).where(counters.c.name == ROUTES_VERSION).values(value=counters.c.value + 1)
    )


async def routes_version(connection: AsyncConnection) -> int:
    return int(
        (await connection.execute(select(counters.c.value).where(counters.c.name == ROUTES_VERSION))).scalar_one()
    )
