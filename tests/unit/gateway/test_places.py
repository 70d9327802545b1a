"""Places that several processes share."""

import asyncio
import os
import signal
from pathlib import Path

from modelyard.domain.routes import Route
from modelyard.gateway.balancer import Balancer
from modelyard.gateway.places import SharedPlaces
from modelyard.settings import GatewaySettings
from modelyard.testing.clock import FakeClock
from modelyard.testing.gateway import FakeRoutes, FakeWaker, endpoints, make_route


class Other:
    """Another process that takes places of worker ``w0``."""

    def __init__(self, directory: Path, count: int, limit: int) -> None:
        self._told, told = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                places = SharedPlaces(directory)
                taken = sum(places.take("w0", limit) is not None for _ in range(count))
                os.write(told, bytes([taken]))
                signal.pause()
            finally:
                os._exit(0)
        os.close(told)
        self.taken = os.read(self._told, 1)[0]

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._told)


def test_a_place_is_one_processs_and_free_again_when_that_is_killed(tmp_path: Path) -> None:
    places = SharedPlaces(tmp_path)
    assert places.take("w0", 3) == 0
    other = Other(tmp_path, count=3, limit=3)
    try:
        assert other.taken == 2
        assert places.take("w0", 3) is None
        assert places.take("w1", 3) == 0
    finally:
        other.kill()
    assert [places.take("w0", 3), places.take("w0", 3), places.take("w0", 3)] == [1, 2, None]
    places.give("w0", 1)
    assert places.take("w0", 3) == 1


def test_workers_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    places = SharedPlaces(tmp_path)
    for worker in ("w0", "w1"):
        place = places.take(worker, 1)
        assert place == 0
    places.give("w1", 0)
    places.keep({"w2"})
    assert [path.name for path in tmp_path.iterdir()] == ["w0"]  # a call is on it still


async def test_gateways_keep_to_per_worker_together_and_find_places_given_back_elsewhere(tmp_path: Path) -> None:
    route: Route = make_route(endpoints=endpoints("http://a"), per_worker=2)
    clock = FakeClock()
    other = Other(tmp_path, count=2, limit=2)
    balancer = Balancer(FakeRoutes(route), FakeWaker(), clock, GatewaySettings(), SharedPlaces(tmp_path))
    try:
        assert balancer.try_lease(route) is None
    finally:
        other.kill()
    lease = await balancer.lease(route)
    assert lease.place == 0
    lease.release()


async def test_a_waiting_call_looks_again_without_being_told(tmp_path: Path) -> None:
    route: Route = make_route(endpoints=endpoints("http://a"), per_worker=1)
    clock = FakeClock()
    other = Other(tmp_path, count=1, limit=1)
    balancer = Balancer(FakeRoutes(route), FakeWaker(), clock, GatewaySettings(), SharedPlaces(tmp_path))
    waiting = asyncio.create_task(balancer.lease(route))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    other.kill()
    for _ in range(20):
        await clock.advance(0.01)
        await asyncio.sleep(0)
    assert waiting.done()
    waiting.result().release()
