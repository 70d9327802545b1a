"""The time that workers are there is written down by the reconciler itself: it is what own models cost."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

Until = Callable[..., Awaitable[None]]
EVER = datetime(2000, 1, 1, tzinfo=UTC)


async def spent(yard, later: timedelta = timedelta(0)) -> float:
    """Seconds of all workers, as they will be told ``later`` if nothing happens until then."""
    now = yard.clock.now() + later
    async with yard.store.read() as tx:
        found = await tx.worker_time.spent(EVER, now, now, None)
    return sum(each.seconds for each in found)


async def test_time_runs_while_workers_are_there_and_ends_with_them(yard, until: Until) -> None:
    day = timedelta(days=1)
    began = yard.clock.now()
    async with yard.server() as reconciler:
        deployment = await yard.deploy(workers=2)
        reconciler.nudge(deployment.id)
        await reconciler.wait_settled(deployment.id, 1, 30)
        await until(lambda: _ready(yard, deployment, 2))
        now, tomorrow = await spent(yard), await spent(yard, day)
        assert 0 < now <= 2 * (yard.clock.now() - began).total_seconds()
        assert tomorrow - now >= 2 * day.total_seconds(), "two that are there for another day"

        first, *_ = await yard.ready(deployment)
        yard.processes()[first].kill()
        await until(lambda: _replaced(yard, deployment, first))
        now, tomorrow = await spent(yard), await spent(yard, day)
        assert tomorrow - now < 2.1 * day.total_seconds(), "the one that was killed is not paid for any more"

        await yard.change(deployment, deleted=True)
        reconciler.nudge(deployment.id)
        await until(lambda: yard.is_gone(deployment))
        whole = (yard.clock.now() - began).total_seconds()
        assert await spent(yard, day) == await spent(yard) < 3 * whole


async def _ready(yard, deployment, count: int) -> bool:
    return len(await yard.ready(deployment)) == count


async def _replaced(yard, deployment, gone: str) -> bool:
    ready = await yard.ready(deployment)
    return len(ready) == 2 and gone not in ready
