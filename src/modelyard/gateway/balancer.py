"""Which worker takes a call, and who waits for a free place.

A call *leases* a place on a worker: the one with the fewest calls in flight, never more than ``per_worker``.
Calls that find none wait in a bounded queue, per deployment, in which keys take turns. Where a deployment has
no worker at all, a call asks for one (`Waker`) and waits for the route table to show it.
"""

import asyncio
import math

from modelyard.clock import Clock
from modelyard.domain.load import DeploymentLoad, GatewayLoad
from modelyard.domain.routes import Endpoint, Route
from modelyard.domain.startup import eta
from modelyard.errors import ModelyardError, NotFound, Unavailable
from modelyard.gateway.places import OwnPlaces, Places
from modelyard.gateway.ports import RouteSource, Waker
from modelyard.gateway.waiting import FairQueue, Waiter
from modelyard.settings import GatewaySettings

SUSPECT_SECONDS = 1.0
"""How long a worker that refused a connection is asked last; its health is the reconciler's to judge."""

RETRY_SECONDS = 0.005
"""How often a call that waits looks for a place that another gateway gave back."""

_UNKNOWN_START_SECONDS = 10
"""After which to come back where nobody knows how long a worker takes to start."""

_NONE: frozenset[str] = frozenset()


class Lease:
    """A place on a worker, to be released once."""

    __slots__ = ("_balancer", "_held", "deployment_id", "endpoint", "place")

    def __init__(self, balancer: "Balancer", deployment_id: str, endpoint: Endpoint, place: int) -> None:
        self._balancer = balancer
        self._held = True
        self.deployment_id = deployment_id
        self.endpoint = endpoint
        self.place = place

    def release(self) -> None:
        if self._held:
            self._held = False
            self._balancer._release(self)


class _Tally:
    """Calls of one deployment that hold a place, and that ever got one."""

    __slots__ = ("calls", "in_flight")

    def __init__(self) -> None:
        self.calls = 0
        self.in_flight = 0


class Balancer:
    def __init__(
        self,
        routes: RouteSource,
        waker: Waker,
        clock: Clock,
        settings: GatewaySettings,
        places: Places | None = None,
    ) -> None:
        """``places`` are shared with other gateways; None: there are none."""
        self._places = places if places is not None else OwnPlaces()
        self._retrying: asyncio.Task[None] | None = None
        self._routes = routes
        self._waker = waker
        self._clock = clock
        self._settings = settings
        self._in_flight: dict[str, int] = {}
        self._tallies: dict[str, _Tally] = {}
        self._queues: dict[str, FairQueue[Lease]] = {}
        self._suspects: dict[str, float] = {}

    def in_flight(self, worker_id: str) -> int:
        return self._in_flight.get(worker_id, 0)

    def load(self) -> GatewayLoad:
        """How busy this gateway is now."""
        deployments = {
            name: DeploymentLoad(tally.in_flight, self.waiting(name), tally.calls)
            for name, tally in self._tallies.items()
        }
        for name, queue in self._queues.items():
            if name not in deployments:
                deployments[name] = DeploymentLoad(waiting=len(queue))
        return GatewayLoad(deployments, dict(self._in_flight))

    def waiting(self, deployment_id: str) -> int:
        return len(self._queues.get(deployment_id, ()))

    def try_lease(self, route: Route, excluded: frozenset[str] = _NONE) -> Lease | None:
        """A place, if one is free and nobody waits for it already."""
        if route.deployment_id in self._queues:
            return None
        return self._take(route, excluded)

    async def lease(
        self, route: Route, excluded: frozenset[str] = _NONE, key: str = "", max_wait: float | None = None
    ) -> Lease:
        """A place, waiting for one if need be; ``excluded`` are workers not to be taken, ``key`` is whose turn it
        takes, ``max_wait`` the seconds after which the caller would rather have no answer than a late one.

        Raises `Unavailable` when the queue is full, the wait was too long or the deployment failed, `NotFound`
        when the deployment is deleted meanwhile.
        """
        current = self._routes.snapshot().by_id(route.deployment_id)
        if current is None:
            raise gone(route)
        if (lease := self.try_lease(current, excluded)) is not None:
            return lease
        if not current.endpoints:
            self._waker.wake(route.deployment_id)
        if (error := _hopeless(current)) is not None:
            raise error
        return await self._wait(current, Waiter(key, excluded), max_wait)

    def suspect(self, lease: Lease) -> None:
        """Ask this worker last for a while: it refused a connection. Somebody should look whether it lives."""
        self._suspects[lease.endpoint.worker_id] = self._clock.monotonic() + SUSPECT_SECONDS
        self._waker.wake(lease.deployment_id)

    async def run(self) -> None:
        """Serve waiting calls whenever the route table changes; runs until cancelled."""
        while True:
            await self._routes.changed()
            self.refresh()

    def refresh(self) -> None:
        table = self._routes.snapshot()
        for deployment_id, tally in list(self._tallies.items()):
            if not tally.in_flight and table.by_id(deployment_id) is None:
                del self._tallies[deployment_id]
        self._places.keep(table.workers)
        for deployment_id in list(self._queues):
            self._dispatch(deployment_id, table.by_id(deployment_id))

    async def _retry(self) -> None:
        """Another gateway tells nobody that it gave a place back."""
        while self._queues:
            await self._clock.sleep(RETRY_SECONDS)
            table = self._routes.snapshot()
            for deployment_id in list(self._queues):
                self._dispatch(deployment_id, table.by_id(deployment_id))
        self._retrying = None

    async def _wait(self, route: Route, waiter: Waiter[Lease], max_wait: float | None) -> Lease:
        seconds = self._settings.queue_seconds if route.endpoints else self._settings.cold_start_seconds
        if max_wait is not None:
            seconds = min(seconds, max_wait)
        if seconds <= 0:
            raise self._too_long(route.deployment_id, seconds)
        self._enqueue(route, waiter)
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((waiter.granted, timer), return_when=asyncio.FIRST_COMPLETED)
            if waiter.granted.done():
                return waiter.granted.result()
            raise self._too_long(route.deployment_id, seconds)
        except asyncio.CancelledError:
            if waiter.granted.done() and waiter.granted.exception() is None:
                waiter.granted.result().release()
            raise
        finally:
            timer.cancel()
            self._forget(route.deployment_id, waiter)

    def _enqueue(self, route: Route, waiter: Waiter[Lease]) -> None:
        queue = self._queues.setdefault(route.deployment_id, FairQueue())
        if len(queue) >= self._settings.queue_per_slot * max(1, route.max_workers) * route.per_worker:
            displaced = queue.displaced_by(waiter.key)
            if displaced is None:
                raise self._full(route, len(queue))
            displaced.granted.set_exception(self._full(route, len(queue)))
            queue.discard(displaced)
        queue.add(waiter)
        if self._places.shared and self._retrying is None:
            self._retrying = asyncio.create_task(self._retry(), name="gateway-places")

    def _forget(self, deployment_id: str, waiter: Waiter[Lease]) -> None:
        queue = self._queues.get(deployment_id)
        if queue is not None:
            queue.discard(waiter)
            if not queue:
                del self._queues[deployment_id]

    def _full(self, route: Route, waiting: int) -> Unavailable:
        why = "are busy" if route.endpoints else "are starting"
        return Unavailable(
            f"All workers of '{route.deployment_name}' {why} and {waiting} calls wait already.",
            code="queue_full",
            retry_after=5 if route.endpoints else self._retry_after(route),
        )

    def _retry_after(self, route: Route) -> int:
        """Seconds until a worker is likely to be ready, by how long the last ones took."""
        left = eta(route.start_seconds, route.coming_since, self._clock.now())
        return _UNKNOWN_START_SECONDS if left is None else max(1, math.ceil(left))

    def _too_long(self, deployment_id: str, seconds: float) -> Unavailable:
        current = self._routes.snapshot().by_id(deployment_id)
        if current is not None and not current.endpoints:
            why = f" Its last trouble: {current.reason}" if current.reason else ""
            return Unavailable(
                f"No worker of '{current.deployment_name}' was ready within {seconds:g} s.{why}",
                code="cold_start_timeout",
                retry_after=self._retry_after(current),
            )
        return Unavailable(f"No worker had a free place within {seconds:g} s.", code="queue_timeout", retry_after=5)

    def _take(self, route: Route, excluded: frozenset[str]) -> Lease | None:
        while (endpoint := self._pick(route, excluded)) is not None:
            place = self._places.take(endpoint.worker_id, route.per_worker)
            if place is not None:
                return self._leased(route, endpoint, place)
            excluded |= {endpoint.worker_id}
        return None

    def _leased(self, route: Route, endpoint: Endpoint, place: int) -> Lease:
        self._in_flight[endpoint.worker_id] = self._in_flight.get(endpoint.worker_id, 0) + 1
        tally = self._tallies.get(route.deployment_id)
        if tally is None:
            tally = self._tallies[route.deployment_id] = _Tally()
        tally.calls += 1
        tally.in_flight += 1
        return Lease(self, route.deployment_id, endpoint, place)

    def _pick(self, route: Route, excluded: frozenset[str]) -> Endpoint | None:
        best: Endpoint | None = None
        best_load: tuple[bool, int] = (True, route.per_worker)
        for endpoint in route.endpoints:
            load = self._in_flight.get(endpoint.worker_id, 0)
            if load >= route.per_worker or endpoint.worker_id in excluded:
                continue
            rank = (bool(self._suspects) and self._is_suspect(endpoint.worker_id), load)
            if best is None or rank < best_load:
                best, best_load = endpoint, rank
        return best

    def _is_suspect(self, worker_id: str) -> bool:
        until = self._suspects.get(worker_id)
        if until is None:
            return False
        if until > self._clock.monotonic():
            return True
        del self._suspects[worker_id]
        return False

    def _release(self, lease: Lease) -> None:
        self._tallies[lease.deployment_id].in_flight -= 1
        worker_id = lease.endpoint.worker_id
        self._places.give(worker_id, lease.place)
        left = self._in_flight[worker_id] - 1
        if left:
            self._in_flight[worker_id] = left
        else:
            del self._in_flight[worker_id]
        if lease.deployment_id in self._queues:
            self._dispatch(lease.deployment_id, self._routes.snapshot().by_id(lease.deployment_id))

    def _dispatch(self, deployment_id: str, route: Route | None) -> None:
        queue = self._queues[deployment_id]
        served = []
        for waiter in queue.in_turn():
            if route is None:
                waiter.granted.set_exception(NotFound("The deployment was deleted.", code="deployment_not_found"))
            elif (error := _hopeless(route)) is not None:
                waiter.granted.set_exception(error)
            elif (lease := self._take(route, waiter.excluded)) is not None:
                waiter.granted.set_result(lease)
                served.append(waiter.key)
            elif not waiter.excluded:
                break  # who takes any worker finds none: nobody does
        for key in served:
            queue.served(key)


def gone(route: Route) -> NotFound:
    return NotFound(f"There is no deployment '{route.deployment_name}' any more.", code="deployment_not_found")


def _hopeless(route: Route) -> ModelyardError | None:
    """Why waiting for a worker of ``route`` makes no sense, if it does not."""
    if route.endpoints or not route.hopeless:
        return None
    return Unavailable(
        f"'{route.deployment_name}' has no worker: {route.reason or 'its workers failed'}",
        code="deployment_failed",
        retry_after=10,
    )
