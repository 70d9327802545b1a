"""The reconciler, as seen from a process that it is not in: they meet in the store."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from modelyard.clock import Clock
from modelyard.control.reconciling.demand import Demand
from modelyard.control.reconciling.settled import wait_settled
from modelyard.domain.deployments import Deployment
from modelyard.errors import Unavailable
from modelyard.store import Store

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 0.1
_AGAIN_SECONDS = 1.0


class Distant:
    """A `modelyard.control.deployments.Settling` and a `modelyard.gateway.ports.Waker`. ``refresh`` brings this
    process's routes up to date."""

    def __init__(self, store: Store, clock: Clock, refresh: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._clock = clock
        self._refresh = refresh
        self._demand = Demand(clock)
        self._stir = asyncio.Event()

    def nudge(self, deployment_id: str) -> None:
        """Nothing to do: whoever changed a target made it due in the same transaction."""

    def wake(self, deployment_id: str) -> None:
        """A call wants a worker of this deployment: written down at most once a second."""
        if self._demand.note(deployment_id):
            self._stir.set()

    @property
    def unwritten(self) -> set[str]:
        """Deployments that were asked for, and nobody told the store yet."""
        return self._demand.untold

    async def wait_settled(self, deployment_id: str, generation: int, timeout: float) -> Deployment:
        """See `modelyard.control.reconciling.settled`."""
        found = await wait_settled(self._store, self._clock, deployment_id, generation, timeout, lambda: self._pause)
        await self._refresh()  # whoever waited may call it now
        return found

    async def run(self) -> None:
        """Write demand down until cancelled."""
        while True:
            await self._stir.wait()
            self._stir.clear()
            try:
                await self.write()
            except Unavailable as error:
                log.warning("a worker cannot be asked for: the store is away", error=str(error))
                await self._clock.sleep(_AGAIN_SECONDS)
                self._stir.set()

    async def write(self) -> None:
        """Write down what was asked for since the last time; kept where the store is away."""
        asked = self._demand.take()
        try:
            async with self._store.begin() as tx:
                for deployment_id in asked:
                    await tx.deployments.demand(deployment_id, self._clock.now())
        except BaseException:
            self._demand.back(asked)
            raise

    async def _pause(self) -> None:
        await self._clock.sleep(_LOOK_SECONDS)
