"""Who gets which worker, who waits, and who waits in vain."""

import asyncio
from dataclasses import replace

import pytest

from modelyard.domain.routes import Endpoint, Route
from modelyard.errors import NotFound, Unavailable
from modelyard.gateway.balancer import Balancer, Lease
from modelyard.settings import GatewaySettings
from modelyard.testing.clock import FakeClock
from modelyard.testing.gateway import FakeRoutes, FakeWaker, endpoints, make_route


class Setup:
    def __init__(self, route: Route, **settings: float) -> None:
        self.route = route
        self.routes = FakeRoutes(route)
        self.waker = FakeWaker()
        self.clock = FakeClock()
        self.balancer = Balancer(self.routes, self.waker, self.clock, GatewaySettings(**settings))  # type: ignore[arg-type]

    def take(self) -> Lease:
        lease = self.balancer.try_lease(self.route)
        assert lease is not None
        return lease

    def wait(self, excluded: frozenset[str] = frozenset()) -> asyncio.Task[Lease]:
        return asyncio.create_task(self.balancer.lease(self.route, excluded))

    def show(self, *routes: Route) -> None:
        self.routes.put(*routes)
        self.balancer.refresh()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def two_workers(per_worker: int = 2) -> Route:
    return make_route(endpoints=endpoints("http://a", "http://b"), per_worker=per_worker)


async def test_the_worker_with_the_fewest_calls_is_taken() -> None:
    setup = Setup(two_workers(3))
    first, second, third = setup.take(), setup.take(), setup.take()
    assert [lease.endpoint.worker_id for lease in (first, second, third)] == ["w0", "w1", "w0"]
    first.release()
    third.release()
    assert setup.take().endpoint.worker_id == "w0"
    assert (setup.balancer.in_flight("w0"), setup.balancer.in_flight("w1")) == (1, 1)


async def test_no_worker_gets_more_than_it_may_serve() -> None:
    setup = Setup(two_workers(2))
    for _ in range(4):
        setup.take()
    assert setup.balancer.try_lease(setup.route) is None
    assert (setup.balancer.in_flight("w0"), setup.balancer.in_flight("w1")) == (2, 2)


async def test_releasing_twice_counts_once() -> None:
    setup = Setup(two_workers())
    lease = setup.take()
    setup.take()
    lease.release()
    lease.release()
    assert setup.balancer.in_flight("w0") + setup.balancer.in_flight("w1") == 1


async def test_places_are_given_in_the_order_of_asking() -> None:
    setup = Setup(make_route(endpoints=endpoints("http://a"), per_worker=1))
    held = setup.take()
    waiting = [setup.wait() for _ in range(3)]
    await settle()
    assert setup.balancer.waiting(setup.route.deployment_id) == 3
    for task in waiting:
        held.release()
        await settle()
        assert task.done()
        assert setup.balancer.try_lease(setup.route) is None, "nobody may overtake those who wait"
        held = task.result()
    held.release()
    await settle()
    assert setup.balancer.in_flight("w0") == 0
    assert setup.balancer.waiting(setup.route.deployment_id) == 0


async def test_the_queue_is_bounded() -> None:
    setup = Setup(make_route(endpoints=endpoints("http://a"), per_worker=1, max_workers=1), queue_per_slot=2)
    setup.take()
    waiting = [setup.wait(), setup.wait()]
    await settle()
    with pytest.raises(Unavailable) as caught:
        await setup.balancer.lease(setup.route)
    assert caught.value.code == "queue_full"
    assert caught.value.retry_after >= 1
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert setup.balancer.waiting(setup.route.deployment_id) == 0


async def test_waiting_ends_in_time() -> None:
    setup = Setup(make_route(endpoints=endpoints("http://a"), per_worker=1), queue_seconds=60)
    setup.take()
    task = setup.wait()
    await settle()
    await setup.clock.advance(59)
    assert not task.done()
    await setup.clock.advance(1)
    with pytest.raises(Unavailable) as caught:
        await task
    assert caught.value.code == "queue_timeout"


async def test_a_call_for_no_worker_asks_for_one_and_waits_for_it() -> None:
    setup = Setup(make_route())
    task = setup.wait()
    await settle()
    assert setup.waker.woken == [setup.route.deployment_id]
    await setup.clock.advance(100)
    setup.show(replace(setup.route, endpoints=endpoints("http://a")))
    assert (await task).endpoint.address == "http://a"


async def test_a_worker_that_never_comes_is_told_with_what_is_known() -> None:
    setup = Setup(make_route(reason="weights are being fetched"), cold_start_seconds=300)
    task = setup.wait()
    await settle()
    await setup.clock.advance(300)
    with pytest.raises(Unavailable, match="weights are being fetched") as caught:
        await task
    assert caught.value.code == "cold_start_timeout"
    assert setup.balancer.waiting(setup.route.deployment_id) == 0


async def test_a_failed_deployment_without_workers_fails_at_once_and_is_asked_for_again() -> None:
    setup = Setup(make_route(hopeless=True, reason="no such file: model.gguf"))
    with pytest.raises(Unavailable, match=r"no such file: model\.gguf") as caught:
        await setup.balancer.lease(setup.route)
    assert caught.value.code == "deployment_failed"
    assert setup.waker.woken == [setup.route.deployment_id]


async def test_a_failed_update_keeps_serving_with_the_workers_it_has() -> None:
    setup = Setup(make_route(hopeless=True, endpoints=endpoints("http://a")))
    assert (await setup.balancer.lease(setup.route)).endpoint.worker_id == "w0"


async def test_those_who_wait_learn_that_the_deployment_failed_or_went() -> None:
    setup = Setup(make_route())
    task = setup.wait()
    await settle()
    setup.show(replace(setup.route, hopeless=True, reason="out of memory"))
    with pytest.raises(Unavailable, match="out of memory"):
        await task
    setup.show(setup.route)
    task = setup.wait()
    await settle()
    setup.show()
    with pytest.raises(NotFound):
        await task
    with pytest.raises(NotFound):
        await setup.balancer.lease(setup.route)


async def test_more_places_serve_those_who_wait() -> None:
    setup = Setup(make_route(endpoints=endpoints("http://a"), per_worker=1))
    setup.take()
    tasks = [setup.wait() for _ in range(3)]
    await settle()
    setup.show(replace(setup.route, endpoints=endpoints("http://a", "http://b"), per_worker=2))
    leases = await asyncio.gather(*tasks)
    assert sorted(lease.endpoint.worker_id for lease in leases) == ["w0", "w1", "w1"]


async def test_giving_up_while_waiting_leaves_nothing_behind() -> None:
    setup = Setup(make_route(endpoints=endpoints("http://a"), per_worker=1))
    held = setup.take()
    task = setup.wait()
    await settle()
    task.cancel()
    held.release()
    await asyncio.gather(task, return_exceptions=True)
    assert setup.balancer.in_flight("w0") == 0
    setup.take()


async def test_giving_up_in_the_moment_of_being_served_frees_the_place() -> None:
    setup = Setup(make_route(endpoints=endpoints("http://a"), per_worker=1))
    held = setup.take()
    task = setup.wait()
    await settle()
    held.release()  # grants the place, but the task has not run since
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert setup.balancer.in_flight("w0") == 0


async def test_excluded_workers_are_not_taken_and_do_not_block_others() -> None:
    setup = Setup(two_workers(1))
    lease = await setup.balancer.lease(setup.route, frozenset({"w0"}))
    assert lease.endpoint.worker_id == "w1"
    picky = setup.wait(frozenset({"w0"}))
    await settle()
    other = setup.wait()
    await settle()
    assert not picky.done()
    setup.balancer.refresh()
    assert (await other).endpoint.worker_id == "w0"
    lease.release()
    assert (await picky).endpoint.worker_id == "w1"


async def test_a_suspect_is_asked_last_for_a_while() -> None:
    setup = Setup(two_workers(3))
    lease = setup.take()
    assert lease.endpoint.worker_id == "w0"
    lease.release()
    setup.balancer.suspect(lease)
    assert setup.waker.woken == [setup.route.deployment_id], "somebody looks whether it lives"
    assert [setup.take().endpoint.worker_id for _ in range(4)] == ["w1", "w1", "w1", "w0"]
    await setup.clock.advance(2)
    assert setup.take().endpoint.worker_id == "w0"


async def test_the_route_table_is_watched() -> None:
    setup = Setup(make_route())
    watching = asyncio.create_task(setup.balancer.run())
    task = setup.wait()
    await settle()
    setup.routes.put(replace(setup.route, endpoints=(Endpoint("w9", "http://z"),)))
    assert (await task).endpoint.worker_id == "w9"
    watching.cancel()


async def test_keys_take_turns_however_many_calls_one_has() -> None:
    setup = Setup(make_route(endpoints=endpoints("http://a"), per_worker=1))
    held = setup.take()
    order = []

    async def call(key: str) -> None:
        lease = await setup.balancer.lease(setup.route, frozenset(), key)
        order.append(key)
        lease.release()

    calls = [asyncio.create_task(call(key)) for key in [*["flood"] * 5, "one", "two", "one"]]
    await settle()
    held.release()
    await asyncio.gather(*calls)
    assert order == ["flood", "one", "two", "flood", "one", "flood", "flood", "flood"]


async def test_in_a_full_queue_a_flood_gives_way_to_other_keys() -> None:
    setup = Setup(make_route(endpoints=endpoints("http://a"), per_worker=1, max_workers=3), queue_per_slot=1)
    setup.take()
    calls = []
    for key in ("flood", "flood", "flood", "one", "flood", "two", "three"):
        calls.append(asyncio.create_task(setup.balancer.lease(setup.route, frozenset(), key)))
        await settle()
    assert setup.balancer.waiting(setup.route.deployment_id) == 3
    refused = [call.exception() if call.done() else None for call in calls]
    assert [getattr(error, "code", None) for error in refused] == [
        None,
        "queue_full",  # gave way to "two"
        "queue_full",  # gave way to "one"
        None,
        "queue_full",  # had more than its share already
        None,
        "queue_full",  # by now everybody has one
    ]
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert setup.balancer.waiting(setup.route.deployment_id) == 0


async def test_who_does_not_want_to_wait_is_told_when_to_come_back() -> None:
    setup = Setup(make_route(start_seconds=(30.0, 20.0, 21.0)))
    with pytest.raises(Unavailable) as caught:
        await setup.balancer.lease(setup.route, frozenset(), "key", 0)
    assert (caught.value.code, caught.value.retry_after) == ("cold_start_timeout", 21)
    assert setup.waker.woken == [setup.route.deployment_id]


async def test_load_is_what_is_served_and_what_waits() -> None:
    setup = Setup(make_route(endpoints=endpoints("http://a"), per_worker=1))
    held = setup.take()
    waiting = setup.wait()
    await settle()
    name = setup.route.deployment_id
    load = setup.balancer.load()
    assert (load.deployments[name].in_flight, load.deployments[name].waiting) == (1, 1)
    assert load.workers == {"w0": 1}
    held.release()
    (await waiting).release()
    load = setup.balancer.load()
    assert (load.deployments[name].load, load.deployments[name].calls, load.workers) == (0, 2, {})
