"""The store's pulse: it beats when another connection or another process wrote."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from modelyard.errors import Unavailable
from modelyard.store import Store


async def test_a_pulse_tells_of_new_deployments_and_due_times(yard) -> None:
    before = await yard.store.pulse()
    assert before.soonest_due is None
    assert await yard.store.pulse() == before
    deployment = await yard.deploy()
    after = await yard.store.pulse()
    assert after.routes_version > before.routes_version
    assert after.soonest_due == deployment.created_at


async def test_writers_are_not_held_up_by_it(yard) -> None:
    await yard.store.pulse()
    await yard.deploy()
    await yard.store.pulse()
    deployment = await yard.deploy()
    now = yard.clock.now() - timedelta(hours=1)
    async with yard.store.begin() as tx:
        await tx.deployments.nudge(deployment.id, now)
    assert (await yard.store.pulse()).soonest_due == now


@pytest.fixture
async def other(yard) -> AsyncIterator[Store]:
    store = await Store.open(yard.settings.database)
    yield store
    await store.aclose()


async def test_what_another_process_wrote_is_seen(yard, other: Store) -> None:
    deployment = await yard.deploy()
    before = await other.pulse()
    async with yard.store.begin() as tx:
        await tx.deployments.remove(deployment.id)
    after = await other.pulse()
    assert after.routes_version > before.routes_version
    assert after.soonest_due is None


async def test_a_database_that_cannot_be_used_is_unavailable(tmp_path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/nothing/in/it.db")
    with pytest.raises(Unavailable):
        await store.pulse()
    await store.migrate()
    assert (await store.pulse()).soonest_due is None
    await store.aclose()
