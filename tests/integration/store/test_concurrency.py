"""Many at once: tasks, processes, and tasks that are cancelled in the middle."""

import asyncio
import random
import subprocess
import sys
from datetime import timedelta

import pytest

from modelyard.domain.deployments import DeploymentStatus
from modelyard.errors import Unavailable
from modelyard.store import PageQuery, Store
from modelyard.store import store as store_module

BUMP = """
import asyncio, sys
from modelyard.store import Store

async def main():
    store = await Store.open(sys.argv[1])

    async def bump():
        async with store.begin() as tx:
            tx.deployments._session.routes_changed()

    for _ in range(10):
        await asyncio.gather(*(bump() for _ in range(10)))
    await store.aclose()

asyncio.run(main())
"""


async def version(store):
    async with store.read() as tx:
        return await tx.deployments.routes_version()


async def bump(store):
    async with store.begin() as tx:
        tx.deployments._session.routes_changed()


async def test_many_writing_tasks_lose_nothing(store, other):
    before = await version(store)
    await asyncio.gather(*(bump(which) for which in (store, other) for _ in range(100)))
    assert await version(store) == before + 200


async def test_many_writing_processes_lose_nothing(store, url):
    before = await version(store)
    processes = [
        subprocess.Popen([sys.executable, "-c", BUMP, url], stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for process in processes:
        _, errors = await asyncio.to_thread(process.communicate, timeout=60)
        assert process.returncode == 0, errors
    assert await version(store) == before + 300


async def test_readers_do_not_wait_for_a_writer_and_see_nothing_half_done(store, other, make, accounts):
    async with store.begin() as tx:
        await tx.models.add(make.model())
        for which in (store, other):
            async with which.read() as reader:
                assert (await reader.models.page(PageQuery(accounts))).total == 0
    async with other.read() as reader:
        assert (await reader.models.page(PageQuery(accounts))).total == 1


async def test_a_reader_sees_one_moment(store, other, make, accounts):
    async with store.read() as reader:
        assert (await reader.models.page(PageQuery(accounts))).total == 0
        async with other.begin() as tx:
            await tx.models.add(make.model())
        assert (await reader.models.page(PageQuery(accounts))).total == 0


async def test_many_readers_at_once(store, make, accounts):
    async with store.begin() as tx:
        await tx.models.add(make.model())

    async def read():
        async with store.read() as tx:
            return (await tx.models.page(PageQuery(accounts))).total

    assert set(await asyncio.gather(*(read() for _ in range(100)))) == {1}


async def test_tasks_that_are_cancelled_anywhere_leave_the_store_whole(store, make, accounts):
    """Whatever was cut off, it is all there or nothing of it; and nobody after it waits."""
    random_ = random.Random(4)
    pairs = [(make.model(), make.model()) for _ in range(60)]

    async def add(pair):
        async with store.begin() as tx:
            for model in pair:
                await tx.models.add(model)

    for number, pair in enumerate(pairs):
        task = asyncio.create_task(add(pair))
        reader = asyncio.create_task(version(store))
        for _ in range(random_.randrange(60)):
            await asyncio.sleep(0)
        if number % 3 == 0:
            await asyncio.sleep(random_.random() / 200)
        task.cancel()
        reader.cancel()
        await asyncio.wait([task, reader])
    await asyncio.wait_for(bump(store), 20)
    async with store.read() as tx:
        there = {model.id for model in (await tx.models.page(PageQuery(accounts, limit=1000))).items}
    assert all((one.id in there) == (two.id in there) for one, two in pairs)


async def test_a_nested_writer_on_sqlite_gives_up(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "BUSY_SECONDS", 0.05)
    store = await Store.open(f"sqlite:///{tmp_path}/test.db")
    await store.migrate()
    async with store.begin():
        with pytest.raises(Unavailable) as busy:
            await bump(store)
    assert busy.value.code == "database_busy"
    await bump(store)
    await store.aclose()


async def test_concurrent_steps_of_different_deployments_do_not_meet(store, other, make, now):
    """Steps that all move the routes' version, which is one row, and targets that are set meanwhile."""
    deployments = await make.deployed(store, 12)
    later = now + timedelta(days=1)
    async with store.begin() as tx:
        await tx.deployments.claim_due("me", later, 60, 100)

    async def step(which, deployment):
        worker = make.worker(deployment)
        async with which.begin() as tx:
            assert await tx.deployments.write_workers(deployment.id, "me", [worker])
        async with which.begin() as tx:
            there = await tx.deployments.get(deployment.id, None)
            status, at = DeploymentStatus.READY, {"due_at": later, "now": later}
            assert await tx.deployments.apply(
                deployment.id, "me", observed=there.observed, workers=[], status=status, **at
            )

    async def retarget(which, several):
        async with which.begin() as tx:
            for each in several:
                await tx.deployments.set_target(await tx.deployments.get(each.id, None))

    before = await version(store)
    await asyncio.gather(
        *(step((store, other)[number % 2], each) for number, each in enumerate(deployments[:8])),
        retarget(other, deployments[8:]),
    )
    assert await version(store) == before + 17
