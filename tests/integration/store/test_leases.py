"""Leases: one controller at a time works on a deployment, and nothing that happens meanwhile is lost."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from modelyard.domain.deployments import DeploymentStatus, Observed, Phase
from modelyard.errors import NotFound

LEASE = 10


@pytest.fixture
def later(now):
    """Times after every entity's creation."""
    return lambda seconds: now + timedelta(days=1, seconds=seconds)


async def claim(store, owner, at, limit=100):
    async with store.begin() as tx:
        return [each.id for each in await tx.deployments.claim_due(owner, at, LEASE, limit)]


async def apply(store, deployment, owner, at, *, due, workers=(), observed=None, status=DeploymentStatus.READY):
    async with store.begin() as tx:
        return await tx.deployments.apply(
            deployment.id, owner, observed=observed or Observed(1), workers=workers, status=status, due_at=due, now=at
        )


async def got(store, deployment):
    async with store.read() as tx:
        return await tx.deployments.get(deployment.id, None)


async def test_what_is_new_is_due_at_once_and_claimed_once(store, make, later):
    made = await make.deployed(store, 3)
    assert sorted(await claim(store, "one", later(0))) == sorted(each.id for each in made)
    assert await claim(store, "two", later(0)) == []


async def test_a_claim_gives_whole_deployments_the_longest_due_first(store, make, later):
    first, second, third = await make.deployed(store, 3)
    async with store.begin() as tx:
        assert await tx.deployments.claim_due("one", later(0), LEASE, 2) == [first, second]
        assert await tx.deployments.claim_due("one", later(0), LEASE, 2) == [third]


async def test_nothing_is_claimed_before_it_is_due(store, make, later):
    (deployment,) = await make.deployed(store)
    assert await claim(store, "one", deployment.created_at - timedelta(microseconds=1)) == []
    assert await claim(store, "one", deployment.created_at) == [deployment.id]
    assert await apply(store, deployment, "one", deployment.created_at, due=later(5))
    assert await claim(store, "one", later(5) - timedelta(microseconds=1)) == []
    assert await claim(store, "one", later(5)) == [deployment.id]


async def test_concurrent_claimers_share_nothing(store, other, make, later):
    made = await make.deployed(store, 60)

    async def claimer(which, name):
        mine = []
        while found := await claim(which, name, later(0), limit=4):
            assert len(found) <= 4
            mine += found
        return mine

    claims = await asyncio.gather(*(claimer((store, other)[n % 2], f"claimer {n}") for n in range(8)))
    found = [id_ for mine in claims for id_ in mine]
    # A claimer may find everything locked and stop: what is left over is still there for the next.
    found += await claim(store, "last", later(0))
    assert sorted(found) == sorted(each.id for each in made)


async def test_a_lease_that_ran_out_is_anybodys(store, make, later):
    (deployment,) = await make.deployed(store)
    assert await claim(store, "one", later(0)) == [deployment.id]
    assert await claim(store, "two", later(LEASE)) == []
    assert await claim(store, "two", later(LEASE + 1)) == [deployment.id]
    assert not await apply(store, deployment, "one", later(LEASE + 1), due=later(60))


async def test_renewing_keeps_others_away(store, make, later):
    (deployment,) = await make.deployed(store)
    await claim(store, "one", later(0))
    async with store.begin() as tx:
        assert await tx.deployments.renew(deployment.id, "one", later(8), LEASE)
        assert not await tx.deployments.renew(deployment.id, "two", later(8), LEASE)
        assert not await tx.deployments.renew("unknown", "one", later(8), LEASE)
    assert await claim(store, "two", later(17)) == []
    assert await apply(store, deployment, "one", later(18), due=later(60))
    async with store.begin() as tx:
        assert not await tx.deployments.renew(deployment.id, "one", later(18), LEASE)


async def test_a_lease_that_ran_out_is_not_renewed(store, make, later):
    (deployment,) = await make.deployed(store)
    await claim(store, "one", later(0))
    async with store.begin() as tx:
        assert not await tx.deployments.renew(deployment.id, "one", later(LEASE + 1), LEASE)


async def test_only_the_holder_applies_and_only_in_time(store, make, later):
    (deployment,) = await make.deployed(store)
    worker = make.worker(deployment)
    assert not await apply(store, deployment, "one", later(0), due=later(60), workers=[worker])
    await claim(store, "one", later(0))
    assert not await apply(store, deployment, "two", later(1), due=later(60), workers=[worker])
    assert not await apply(store, deployment, "one", later(LEASE + 1), due=later(60), workers=[worker])
    assert await got(store, deployment) == deployment
    assert await apply(store, deployment, "one", later(LEASE), due=later(60), workers=[worker])
    assert not await apply(store, deployment, "one", later(LEASE), due=later(60), workers=[])
    assert (await got(store, deployment)).workers == (worker,)


async def test_apply_writes_everything_observed_but_the_demand(store, make, later, now):
    (deployment,) = await make.deployed(store)
    await claim(store, "one", later(0))
    async with store.begin() as tx:
        await tx.deployments.demand(deployment.id, later(1))
    ready = make.worker(
        deployment,
        phase=Phase.READY,
        address="http://127.0.0.1:1",
        detail="is 🙂",
        ready_at=now,
        draining_since=now + timedelta(microseconds=1),
    )
    observed = Observed(1, "first", 2, 3, now, "why", None)
    assert await apply(store, deployment, "one", later(2), due=later(60), workers=[ready], observed=observed)
    assert await got(store, deployment) == replace(
        deployment, observed=replace(observed, demanded_at=later(1)), workers=(ready,)
    )


async def test_workers_are_replaced_as_a_whole(store, make, later):
    (deployment,) = await make.deployed(store)
    first, second = make.worker(deployment), make.worker(deployment)
    await claim(store, "one", later(0))
    async with store.begin() as tx:
        assert await tx.deployments.write_workers(deployment.id, "one", [second, first])
        assert not await tx.deployments.write_workers(deployment.id, "two", [])
        assert not await tx.deployments.write_workers("unknown", "one", [])
        assert (await tx.deployments.get(deployment.id, None)).workers == (first, second)
        assert await tx.deployments.worker(second.id) == second
        assert await tx.deployments.worker("unknown") is None
    # The lease is kept, and what comes next takes the place of what was.
    moved = replace(second, phase=Phase.READY)
    assert await apply(store, deployment, "one", later(1), due=later(60), workers=[moved])
    assert (await got(store, deployment)).workers == (moved,)


@pytest.mark.parametrize("what", ["nudge", "demand", "set_target"])
async def test_what_is_asked_for_during_a_step_is_not_swallowed_by_it(store, make, later, what):
    (deployment,) = await make.deployed(store)
    await claim(store, "one", later(0))
    async with store.begin() as tx:
        if what == "set_target":
            await tx.deployments.set_target(replace(deployment, name="new"))
        else:
            await getattr(tx.deployments, what)(deployment.id, later(1))
    assert await claim(store, "two", later(2)) == []
    assert await apply(store, deployment, "one", later(3), due=later(60))
    assert await claim(store, "two", later(3)) == [deployment.id]
    # Once seen, it is done with.
    assert await apply(store, deployment, "two", later(4), due=later(60))
    assert await claim(store, "two", later(59)) == []


@pytest.mark.parametrize("what", ["nudge", "demand", "set_target"])
async def test_what_is_asked_for_between_steps_makes_it_due(store, make, later, what):
    (deployment,) = await make.deployed(store)
    await claim(store, "one", later(0))
    assert await apply(store, deployment, "one", later(0), due=later(60))
    async with store.begin() as tx:
        if what == "set_target":
            await tx.deployments.set_target(deployment)
        else:
            await getattr(tx.deployments, what)(deployment.id, later(1))
    assert await claim(store, "one", later(1)) == [deployment.id]


async def test_renewing_does_not_swallow_a_nudge(store, make, later):
    (deployment,) = await make.deployed(store)
    await claim(store, "one", later(0))
    async with store.begin() as tx:
        await tx.deployments.nudge(deployment.id, later(1))
        assert await tx.deployments.renew(deployment.id, "one", later(2), LEASE)
    assert await apply(store, deployment, "one", later(3), due=later(60))
    assert await claim(store, "one", later(3)) == [deployment.id]


async def test_a_holder_that_died_leaves_it_due(store, make, later):
    (deployment,) = await make.deployed(store)
    for step in range(3):
        assert await claim(store, f"mortal {step}", later(step * (LEASE + 1))) == [deployment.id]


async def test_removing_takes_the_workers_along(store, make, later):
    (deployment,) = await make.deployed(store)
    worker = make.worker(deployment)
    await claim(store, "one", later(0))
    async with store.begin() as tx:
        assert await tx.deployments.write_workers(deployment.id, "one", [worker])
        await tx.deployments.remove(deployment.id)
        assert await tx.deployments.worker(worker.id) is None
        with pytest.raises(NotFound):
            await tx.deployments.get(deployment.id, None)
        await tx.deployments.remove(deployment.id)
    assert not await apply(store, deployment, "one", later(1), due=later(60), workers=[worker])


class Version:
    def __init__(self, store):
        self.store = store
        self.last = None

    async def moved(self):
        async with self.store.read() as tx:
            now = await tx.deployments.routes_version()
        moved, self.last = now != self.last, now
        return moved


async def test_the_routes_version_moves_with_what_can_be_called(store, make, later):
    version = Version(store)
    await version.moved()
    (deployment,) = await make.deployed(store)
    assert await version.moved()
    worker = make.worker(deployment, address="http://127.0.0.1:1")

    async def step(at, **changes):
        await claim(store, "one", later(at))
        assert await apply(store, deployment, "one", later(at), due=later(0), **changes)
        return await version.moved()

    assert await step(1, workers=[worker])
    assert not await step(2, workers=[worker])
    assert not await step(3, workers=[replace(worker, detail="loading 34 %")])
    assert await step(4, workers=[replace(worker, phase=Phase.READY)])
    assert await step(5, workers=[replace(worker, phase=Phase.READY, address="http://127.0.0.1:2")])
    assert await step(6, workers=[])
    assert await step(7, status=DeploymentStatus.UPDATE_FAILED)
    assert await step(8, status=DeploymentStatus.UPDATE_FAILED, observed=Observed(1, reason="why"))
    assert await step(9, observed=Observed(1, "first"))
    assert not await step(10, observed=Observed(1, "first", failures=3))
    async with store.begin() as tx:
        await tx.deployments.claim_due("one", later(11), LEASE, 1)
        await tx.deployments.write_workers(deployment.id, "one", [worker])
    assert await version.moved()


async def test_the_routes_version_moves_with_targets_models_and_templates(store, make, later):
    version = Version(store)
    template, (deployment,) = make.template(), await make.deployed(store)
    await version.moved()
    async with store.begin() as tx:
        await tx.deployments.nudge(deployment.id, later(0))
        await tx.deployments.demand(deployment.id, later(0))
        await tx.templates.add(template)
    assert not await version.moved()
    async with store.read() as tx:
        model = await tx.models.get(deployment.model_id, None)
    for change in (
        lambda tx: tx.deployments.set_target(replace(deployment, name="new")),
        lambda tx: tx.templates.replace(template),
        lambda tx: tx.templates.upsert(template),
        lambda tx: tx.models.replace(model),
        lambda tx: tx.models.upsert(model),
        lambda tx: tx.deployments.remove(deployment.id),
    ):
        async with store.begin() as tx:
            await change(tx)
        assert await version.moved()


async def test_a_version_is_seen_only_with_what_it_stands_for(store, make):
    (deployment,) = await make.deployed(store)
    version = Version(store)
    await version.moved()

    async def fail():
        async with store.begin() as tx:
            await tx.deployments.set_target(replace(deployment, name="never"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert not await version.moved()
    assert (await got(store, deployment)).name == deployment.name
