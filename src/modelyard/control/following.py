"""Keeping something up to date that changes where routes do."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from modelyard.clock import Clock
from modelyard.control.routes import Routes
from modelyard.errors import Unavailable

log = structlog.get_logger(__name__)

_AGAIN_SECONDS = 1.0


async def follow(routes: Routes, clock: Clock, refresh: Callable[[], Awaitable[None]]) -> None:
    """``refresh`` now and at every change of the routes, until cancelled; once a second while the store is away."""
    while True:
        # Asked for before it is read: a change that comes meanwhile is not missed.
        changed = asyncio.create_task(routes.changed())
        try:
            await refresh()
            await changed
        except Unavailable as error:
            log.debug("what follows routes stands still: the store cannot be read", error=str(error))
            await clock.sleep(_AGAIN_SECONDS)
        finally:
            changed.cancel()
