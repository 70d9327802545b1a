"""A second look at what can be called, for names that nobody knows: they may have been made a moment ago."""

from modelyard.clock import Clock
from modelyard.errors import ModelyardError
from modelyard.gateway.ports import RouteSource

EVERY_SECONDS = 0.2
"""Names that nobody ever knew must not keep the database busy."""


class SecondLook:
    def __init__(self, routes: RouteSource, clock: Clock) -> None:
        self._routes = routes
        self._clock = clock
        self._looked = float("-inf")

    async def take(self) -> bool:
        """Read the routes anew, unless that was done just now; whether it was done."""
        now = self._clock.monotonic()
        if now - self._looked < EVERY_SECONDS:
            return False
        self._looked = now
        try:
            await self._routes.refresh()
        except ModelyardError:
            return False  # while the store is away, what is known is all there is
        return True
