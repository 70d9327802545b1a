"""Gateways of several processes: what they tell, and when a worker may go."""

from dataclasses import dataclass, field

from modelyard.control.reconciling.distant import Distant
from modelyard.control.reconciling.fleet import SILENT_SECONDS, Fleet, Reporter
from modelyard.domain.accounts import IdentityType
from modelyard.domain.deployments import Deployment
from modelyard.domain.limits import Ask, Kind, Limit, Subject, window_of
from modelyard.domain.load import DeploymentLoad, GatewayLoad
from modelyard.domain.routes import RouteTable
from modelyard.testing.clock import START, FakeClock
from modelyard.testing.gateway import endpoints, make_route


@dataclass
class Routed:
    """What a process knows of routes."""

    table: RouteTable
    version: int = 1
    known: list[Deployment] = field(default_factory=list)

    def snapshot(self):
        return self.table

    def deployments(self):
        return self.known


@dataclass
class Gateway:
    calls: int = 0
    workers: dict[str, int] = field(default_factory=dict)

    def load(self):
        return GatewayLoad({"d": DeploymentLoad(sum(self.workers.values()), 0, self.calls)}, dict(self.workers))


def concurrent_calls(account_id):
    """At most one at a time."""
    return Limit(
        id="limit",
        account_id=account_id,
        created_at=START,
        created_by_user_id="u",
        created_by_identity_type=IdentityType.USER,
        name="one at a time",
        subject=Subject.ACCOUNT,
        subject_id=account_id,
        bounds={Kind.CONCURRENT: 1},
    )


def serving(version=1):
    return Routed(RouteTable([make_route(endpoints=endpoints("http://a"))]), version)


def left(version):
    return Routed(RouteTable([make_route()]), version)


async def test_the_load_of_all_gateways_is_added_up(store, other):
    clock = FakeClock()
    fleet = Fleet(other, serving(), clock)
    for name, calls in (("one", 2), ("two", 3)):
        await Reporter(name, store, serving(), Gateway(calls, {"w0": calls}), clock).tell()
    await fleet.listen()
    assert fleet.load().deployments["d"] == DeploymentLoad(5, 0, 5)
    assert fleet.load().workers == {"w0": 5}


async def test_the_gateway_of_ones_own_process_is_asked_and_not_heard(store):
    clock = FakeClock()
    gateway = Gateway(1, {"w0": 1})
    reporter = Reporter("own", store, serving(), gateway, clock)
    await reporter.tell()
    fleet = Fleet(store, serving(), clock, gateway.load, "own")
    await fleet.listen()
    gateway.workers["w0"] = 4
    assert fleet.load().workers == {"w0": 4}


async def test_a_worker_is_free_only_when_every_gateway_has_newer_routes(store):
    clock = FakeClock()
    old, new = serving(1), left(2)
    slow, quick = Gateway(0, {}), Gateway(0, {})
    slow_reporter = Reporter("slow", store, old, slow, clock)
    await slow_reporter.tell()
    await Reporter("quick", store, new, quick, clock).tell()
    fleet = Fleet(store, new, clock)
    await fleet.listen()
    assert fleet.in_flight("w0") == 1  # nobody has told of a call, but the slow gateway may send one
    old.table, old.version = new.table, 2
    await slow_reporter.tell()
    await fleet.listen()
    assert fleet.in_flight("w0") == 0


async def test_while_calls_find_a_worker_it_is_never_free(store):
    fleet = Fleet(store, serving(), FakeClock())
    assert fleet.in_flight("w0") == 1


async def test_a_gateway_that_was_killed_is_waited_for_no_longer_than_its_silence(store, accounts):
    clock = FakeClock()
    limit = concurrent_calls(accounts[0])
    await Reporter("killed", store, serving(1), Gateway(1, {"w0": 1}), clock).tell()
    fleet = Fleet(store, left(2), clock)
    await fleet.listen()
    assert fleet.in_flight("w0") == 2
    await clock.advance(SILENT_SECONDS + 1)
    assert fleet.in_flight("w0") == 0
    held = [Ask(limit, Kind.CONCURRENT, 1, window_of(Kind.CONCURRENT, clock.now()))]
    async with store.begin() as tx:
        await tx.limits.add(limit)
        assert (await tx.limits.reserve([held], "killed"))[0].exceeded is None
        assert (await tx.limits.reserve([held], "lives"))[0].exceeded is not None
    await fleet.listen()
    async with store.begin() as tx:
        assert await tx.gateways.reports() == {}
        assert (await tx.limits.reserve([held], "lives"))[0].exceeded is None


async def test_a_gateway_that_leaves_says_so(store):
    clock = FakeClock()
    reporter = Reporter("gone", store, serving(1), Gateway(0, {}), clock)
    await reporter.tell()
    await reporter.leave()
    fleet = Fleet(store, left(2), clock)
    await fleet.listen()
    assert fleet.in_flight("w0") == 0


async def test_what_is_told_twice_is_written_once_and_silence_is_broken_in_time(store):
    clock = FakeClock()
    reporter = Reporter("one", store, serving(), Gateway(1, {}), clock)
    await reporter.tell()
    async with store.read() as tx:
        (first, _) = (await tx.gateways.reports())["one"]
    await clock.advance(1)
    await reporter.tell()
    async with store.read() as tx:
        assert (await tx.gateways.reports())["one"][0] == first
    await clock.advance(5)
    await reporter.tell()
    async with store.read() as tx:
        assert (await tx.gateways.reports())["one"][0] > first


async def test_demand_of_another_process_is_written_down_once_a_second(store, make):
    clock = FakeClock()
    model = make.model()
    deployment = make.deployment(model)
    async with store.begin() as tx:
        await tx.models.add(model)
        await tx.deployments.add(deployment)

    async def nothing():
        pass

    distant = Distant(store, clock, nothing)
    distant.wake(deployment.id)
    distant.wake(deployment.id)
    assert distant.unwritten == {deployment.id}
    await distant.write()
    async with store.read() as tx:
        assert (await tx.deployments.get(deployment.id, None)).observed.demanded_at == clock.now()
    distant.wake(deployment.id)
    assert distant.unwritten == set()
    await clock.advance(1.1)
    distant.wake(deployment.id)
    assert distant.unwritten == {deployment.id}
