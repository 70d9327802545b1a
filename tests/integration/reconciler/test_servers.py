"""Servers come and go, some by SIGKILL; workers are found again, cleaned up, and never doubled."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest

from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, Account
from modelyard.domain.deployments import DeploymentStatus
from modelyard.store import Store
from modelyard.testing.workers import fake_spec

Until = Callable[..., Awaitable[None]]
on_both = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@contextlib.asynccontextmanager
async def half_server(yard, database: str | None = None) -> AsyncIterator[asyncio.subprocess.Process]:
    script = Path(__file__).parent / "half_server.py"
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        database or yard.settings.database,
        str(yard.settings.data_dir),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield server
    finally:
        if server.returncode is None:
            server.kill()
        await server.communicate()


async def test_after_a_kill_workers_are_adopted_not_doubled(yard, until: Until) -> None:
    deployment = await yard.deploy(workers=2)
    async with half_server(yard):
        await until(lambda: has_ready(yard, deployment, 2))
        before = {worker_id: process.pid for worker_id, process in yard.processes().items()}
    async with yard.server() as reconciler:
        await reconciler.wait_settled(deployment.id, 1, 30)
        await asyncio.sleep(1.5)  # several looks
        assert {worker_id: process.pid for worker_id, process in yard.processes().items()} == before
        assert sorted(await yard.ready(deployment)) == sorted(before)


@on_both
async def test_a_kill_in_the_middle_of_a_start_doubles_nobody(yard, until: Until) -> None:
    deployment = await yard.deploy(workers=3, parameters={"DELAY": "0.5"})
    for _ in range(3):
        async with half_server(yard) as server:
            await server.stdout.readline()
            await asyncio.sleep(0.15)
    async with yard.server():
        await until(lambda: has_ready(yard, deployment, 3))
        assert len(yard.processes()) == 3


async def test_a_worker_that_dies_while_no_server_runs_is_replaced(yard, until: Until) -> None:
    deployment = await yard.deploy()
    async with half_server(yard):
        await until(lambda: has_ready(yard, deployment, 1))
    ((dead, process),) = yard.processes().items()
    process.kill()
    async with yard.server():
        await until(lambda: has_ready_but(yard, deployment, dead))
        assert len(yard.processes()) == 1


async def test_workers_of_a_deployment_that_is_gone_are_stopped(yard, until: Until) -> None:
    spec = fake_spec()
    await yard.launcher().start(spec)
    assert len(yard.processes()) == 1
    async with yard.server():
        await until(lambda: runs(yard, 0))
        await until(lambda: nothing_left(yard))


async def test_workers_that_nobody_wrote_down_are_stopped(yard, until: Until) -> None:
    deployment = await yard.deploy()
    await yard.launcher().start(fake_spec(deployment.id))
    (stranger,) = yard.processes()
    async with yard.server():
        await until(lambda: has_ready(yard, deployment, 1))
        await until(lambda: runs(yard, 1))
        assert stranger not in yard.processes()


async def test_shutting_down_stops_all_and_writes_it_down(yard, until: Until) -> None:
    async with yard.server() as reconciler:
        deployment = await yard.deploy(workers=2)
        await until(lambda: has_ready(yard, deployment, 2))
    await reconciler.stop_all(5)
    assert yard.processes() == {}
    there = await yard.now(deployment)
    assert there.workers == ()
    async with yard.server():
        await until(lambda: has_ready(yard, deployment, 2))
        assert (await yard.now(deployment)).observed.failures == 0


async def test_while_it_shuts_down_it_replaces_nobody(yard, until: Until) -> None:
    """Its loops may still run then: the gateway's calls end first."""
    async with yard.server() as reconciler:
        deployments = [await yard.deploy() for _ in range(3)]
        await until(lambda: all_ready(yard, deployments, 1))
        await reconciler.aclose()
        for process in yard.processes().values():
            process.kill()
        reconciler.nudge(deployments[0].id)
        await asyncio.sleep(3 * yard.settings.reconciler.poll_seconds)  # it would have looked by then
        assert yard.processes() == {}


@on_both
async def test_two_reconcilers_double_nobody(yard, until: Until) -> None:
    deployments = [await yard.deploy(workers=2) for _ in range(4)]
    async with yard.server() as one, yard.server() as other:
        for deployment in deployments:
            one.nudge(deployment.id)
            other.nudge(deployment.id)
        await until(lambda: all_ready(yard, deployments, 2))
        assert len(yard.processes()) == 8
        await yard.change(deployments[0], parameters={"VERSION": "two"})
        one.nudge(deployments[0].id)
        other.nudge(deployments[0].id)
        await until(lambda: all_ready(yard, deployments, 2))
        await until(lambda: runs(yard, 8))


async def test_one_takes_over_when_the_other_is_killed(yard, until: Until) -> None:
    async with half_server(yard) as other:
        deployment = await yard.deploy()
        await until(lambda: has_ready(yard, deployment, 1))
        async with yard.server():
            other.kill()
            ((first, process),) = yard.processes().items()
            process.kill()
            await until(lambda: has_ready_but(yard, deployment, first))
            assert len(yard.processes()) == 1


async def test_a_built_in_starts_on_the_first_call(yard, until: Until) -> None:
    async with yard.store.begin() as tx:
        await tx.accounts.add_account(Account(PLATFORM_ACCOUNT_ID, "platform", yard.clock.now()))
    async with yard.server() as reconciler:
        starter = await yard.deploy(workers=0, account=PLATFORM_ACCOUNT_ID)
        settled = await reconciler.wait_settled(starter.id, 1, 30)
        await asyncio.sleep(0.5)
        assert yard.processes() == {}
        await yard.routes.refresh()
        assert yard.route(settled).status is DeploymentStatus.READY
        for _ in range(10):
            reconciler.wake(starter.id)  # many callers, one worker
        await until(lambda: has_ready(yard, starter, 1))
        assert len(yard.processes()) == 1
        await yard.routes.refresh()
        assert len(yard.route(starter).endpoints) == 1


async def test_many_deployments_that_fail_do_not_hold_up_a_new_one(yard, until: Until) -> None:
    for _ in range(12):
        await yard.deploy(command=("no-such-command",))
    async with yard.server() as reconciler:
        deployment = await yard.deploy()
        reconciler.nudge(deployment.id)
        await until(lambda: has_ready(yard, deployment, 1))


async def test_waiting_for_what_never_settles_ends_in_time(yard) -> None:
    async with yard.server() as reconciler:
        deployment = await yard.deploy(parameters={"DEAF": "1"})
        try:
            await reconciler.wait_settled(deployment.id, 1, 0.5)
        except TimeoutError:
            status, detail = await yard.status(deployment)
            assert (status, detail.phase) == (DeploymentStatus.UPDATE_IN_PROGRESS, "loading")
        else:
            raise AssertionError("it settled")


async def test_the_reconciler_outlives_a_store_that_goes_away(yard, until: Until, monkeypatch) -> None:
    from modelyard.errors import Unavailable

    deployment = await yard.deploy()
    down = asyncio.Event()
    begin = Store.begin

    def failing(self):
        if down.is_set():
            raise Unavailable("The database is away.", code="database_unavailable")
        return begin(self)

    monkeypatch.setattr(Store, "begin", failing)
    async with yard.server() as reconciler:
        await until(lambda: has_ready(yard, deployment, 1))
        down.set()
        ((first, process),) = yard.processes().items()
        process.kill()
        other = str(uuid4())
        reconciler.wake(other)
        await asyncio.sleep(0.5)
        down.clear()
        await until(lambda: has_ready_but(yard, deployment, first))


async def has_ready(yard, deployment, count: int) -> bool:
    return len(await yard.ready(deployment)) == count


async def all_ready(yard, deployments, count: int) -> bool:
    return all([await has_ready(yard, deployment, count) for deployment in deployments])


async def has_ready_but(yard, deployment, gone: str) -> bool:
    ready = await yard.ready(deployment)
    return bool(ready) and gone not in ready


async def nothing_left(yard) -> bool:
    return await yard.launcher().deployments() == []


async def runs(yard, count: int) -> bool:
    return len(yard.processes()) == count
