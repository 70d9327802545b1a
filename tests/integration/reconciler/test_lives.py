"""Deployments from start to end, with real processes."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from modelyard.domain.deployments import DeploymentStatus, Phase
from modelyard.errors import NotFound

Until = Callable[..., Awaitable[None]]
READY, FAILED = DeploymentStatus.READY, DeploymentStatus.UPDATE_FAILED


async def test_a_deployment_gets_ready_and_can_be_called(yard, until: Until) -> None:
    async with yard.server() as reconciler:
        deployment = await yard.deploy(workers=0, parameters={"VERSION": "one"})
        reconciler.nudge(deployment.id)
        settled = await reconciler.wait_settled(deployment.id, 1, 30)
        assert settled.observed.ready_revision == deployment.target.revision
        route = yard.route(deployment)
        assert (route.status, len(route.endpoints)) == (READY, 1)
        async with aiohttp.ClientSession() as session, session.get(f"{route.endpoints[0].address}/readyz") as answer:
            assert (await answer.json())["version"] == "one"
        async with yard.store.read() as tx:
            assert {event.kind for event in await tx.deployments.events(deployment.id)} == {"started", "ready"}


async def test_it_is_found_without_any_nudge(yard, until: Until) -> None:
    async with yard.server():
        deployment = await yard.deploy(workers=2)
        await until(lambda: _has_ready(yard, deployment, 2))


async def test_a_killed_worker_is_replaced(yard, until: Until) -> None:
    async with yard.server() as reconciler:
        deployment = await yard.deploy()
        await reconciler.wait_settled(deployment.id, 1, 30)
        (first,) = await yard.ready(deployment)
        yard.processes()[first].kill()
        await until(lambda: _has_others(yard, deployment, first))
        assert (await yard.status(deployment))[0] is READY
        there = await yard.now(deployment)
        assert "SIGKILL" in next(row.detail for row in there.workers if row.id == first)


async def test_a_crash_loop_backs_off_and_says_why(yard, until: Until) -> None:
    async with yard.server() as reconciler:
        deployment = await yard.deploy(parameters={"FAIL": "the weights are truncated"})
        settled = await reconciler.wait_settled(deployment.id, 1, 30)
        assert "the weights are truncated" in settled.observed.reason
        await until(lambda: _has_failures(yard, deployment, 3))
        status, detail = await yard.status(deployment)
        assert (status, detail.phase) == (FAILED, "failed")
        assert "the weights are truncated" in detail.reason
        assert "the weights are truncated" in yard.route(deployment).reason
        kept = [row.id for row in (await yard.now(deployment)).workers if row.phase is Phase.EXITED]
        assert 1 <= len(kept) <= 2
        assert any("truncated" in line for line in await yard.launcher().logs(kept[-1]))

        await yard.change(deployment, parameters={})
        await until(lambda: _has_ready(yard, deployment, 1))
        status, detail = await yard.status(deployment)
        assert (status, detail.reason) == (READY, None)


async def test_a_port_that_never_opens_is_told_with_the_last_words(yard) -> None:
    async with yard.server() as reconciler:
        deployment = await yard.deploy(readiness=1, parameters={"DEAF": "1", "SAY": "waiting for a GPU"})
        settled = await reconciler.wait_settled(deployment.id, 1, 30)
        reason = settled.observed.reason
        assert reason.startswith("did not answer GET /readyz on port ")
        assert "within 1 s" in reason
        assert reason.endswith("its last words: waiting for a GPU")


async def test_the_process_that_never_answered_is_stopped(yard, until: Until) -> None:
    async with yard.server() as reconciler:
        deployment = await yard.deploy(readiness=1, parameters={"DEAF": "1"})
        await reconciler.wait_settled(deployment.id, 1, 30)
        given_up = [row.id for row in (await yard.now(deployment)).workers if row.phase is Phase.EXITED]
        await until(lambda: _is_dead(yard, given_up[0]))


async def test_a_missing_command_is_named(yard) -> None:
    async with yard.server() as reconciler:
        deployment = await yard.deploy(command=("modelyard-no-such-command",))
        settled = await reconciler.wait_settled(deployment.id, 1, 30)
        assert "'modelyard-no-such-command' was not found" in settled.observed.reason


async def test_a_worker_that_stops_answering_is_replaced(yard, until: Until) -> None:
    async with yard.server() as reconciler:
        deployment = await yard.deploy()
        await reconciler.wait_settled(deployment.id, 1, 30)
        (first,) = await yard.ready(deployment)
        address = yard.route(deployment).endpoints[0].address
        async with aiohttp.ClientSession() as session:
            await (await session.post(f"{address}/sicken", json={})).read()
        await until(lambda: _has_others(yard, deployment, first))
        there = await yard.now(deployment)
        assert "times in a row (it answered 500)" in next(row.detail for row in there.workers if row.id == first)
        await until(lambda: _is_dead(yard, first))


async def test_a_frozen_worker_is_replaced(yard, until: Until) -> None:
    async with yard.server() as reconciler:
        deployment = await yard.deploy()
        await reconciler.wait_settled(deployment.id, 1, 30)
        (first,) = await yard.ready(deployment)
        os.kill(yard.processes()[first].pid, signal.SIGSTOP)
        await until(lambda: _has_others(yard, deployment, first))


async def test_deleting_stops_and_removes(yard, until: Until) -> None:
    async with yard.server() as reconciler:
        deployment = await yard.deploy(workers=2)
        await until(lambda: _has_ready(yard, deployment, 2))
        changed = await yard.change(deployment, deleted=True)
        assert (await yard.status(changed))[0] is DeploymentStatus.DELETE_IN_PROGRESS
        reconciler.nudge(deployment.id)
        await until(lambda: yard.is_gone(deployment))
        assert yard.processes() == {}
        await yard.routes.refresh()
        assert yard.route(deployment) is None
        with pytest.raises(NotFound):
            await reconciler.wait_settled(deployment.id, 2, 5)


async def test_deleting_what_never_got_ready(yard, until: Until) -> None:
    async with yard.server() as reconciler:
        deployment = await yard.deploy(parameters={"DEAF": "1"})
        await until(lambda: _runs(yard, 1))
        await yard.change(deployment, deleted=True)
        reconciler.nudge(deployment.id)
        await until(lambda: yard.is_gone(deployment))
        assert yard.processes() == {}


async def test_scaling_restarts_nobody(yard, until: Until) -> None:
    async with yard.server() as reconciler:
        deployment = await yard.deploy()
        await reconciler.wait_settled(deployment.id, 1, 30)
        first = await yard.ready(deployment)
        await yard.change(deployment, min_workers=3, max_workers=3)
        await until(lambda: _has_ready(yard, deployment, 3))
        assert set(first) < set(await yard.ready(deployment))
        await yard.change(deployment, min_workers=1)
        await until(lambda: _runs(yard, 1))
        assert await yard.ready(deployment) == first


async def test_an_update_waits_for_calls_under_way(yard, until: Until) -> None:
    async with yard.server() as reconciler:
        deployment = await yard.deploy(parameters={"VERSION": "one"})
        await reconciler.wait_settled(deployment.id, 1, 30)
        (old,) = await yard.ready(deployment)
        yard.load.busy[old] = 1
        await yard.change(deployment, parameters={"VERSION": "two"})
        await reconciler.wait_settled(deployment.id, 2, 30)
        assert old not in [endpoint.worker_id for endpoint in yard.route(deployment).endpoints]
        await asyncio.sleep(2)
        assert old in yard.processes()
        del yard.load.busy[old]
        await until(lambda: _is_dead(yard, old))


async def test_an_update_cuts_no_call(yard, until: Until) -> None:
    """Calls go all the time, each to a worker in the newest table, while revisions change three times."""
    answered = 0
    versions: set[str] = set()

    async def call_all_the_time(stop: asyncio.Event) -> None:
        nonlocal answered
        async with aiohttp.ClientSession() as session:
            while not stop.is_set():
                endpoint = min(yard.route(deployment).endpoints, key=lambda each: yard.load.busy.get(each.worker_id, 0))
                yard.load.busy[endpoint.worker_id] = yard.load.busy.get(endpoint.worker_id, 0) + 1
                try:
                    async with session.post(f"{endpoint.address}/predict", json={"texts": ["a"]}) as answer:
                        assert answer.status == 200
                        await answer.json()
                    async with session.get(f"{endpoint.address}/readyz") as answer:
                        versions.add((await answer.json())["version"])
                    answered += 1
                finally:
                    yard.load.busy[endpoint.worker_id] -= 1

    async with yard.server() as reconciler:
        deployment = await yard.deploy(parameters={"VERSION": "0", "SLOW": "0.2"})
        await reconciler.wait_settled(deployment.id, 1, 30)
        stop = asyncio.Event()
        callers = [asyncio.create_task(call_all_the_time(stop)) for _ in range(4)]
        for version in ("1", "2", "3"):
            await yard.change(deployment, parameters={"VERSION": version, "SLOW": "0.2"})
            await reconciler.wait_settled(deployment.id, int(version) + 1, 30)
            await until(lambda version=version: _holds(versions, version))
        await until(lambda: _runs(yard, 1))
        stop.set()
        await asyncio.gather(*callers)
        assert versions == {"0", "1", "2", "3"}
        assert answered > 0


async def test_a_new_revision_that_fails_leaves_the_old_serving(yard, until: Until) -> None:
    async with yard.server() as reconciler:
        deployment = await yard.deploy()
        await reconciler.wait_settled(deployment.id, 1, 30)
        (old,) = await yard.ready(deployment)
        await yard.change(deployment, parameters={"FAIL": "wrong parameter"})
        settled = await reconciler.wait_settled(deployment.id, 2, 30)
        assert "wrong parameter" in settled.observed.reason
        assert yard.route(deployment).status is FAILED
        assert [endpoint.worker_id for endpoint in yard.route(deployment).endpoints] == [old]


async def test_a_revision_that_fails_again_and_again_is_given_up_and_the_old_one_lives_on(yard, until: Until) -> None:
    async with yard.server() as reconciler:
        deployment = await yard.deploy(parameters={"VERSION": "1"})
        good = (await reconciler.wait_settled(deployment.id, 1, 30)).target.revision
        (old,) = await yard.ready(deployment)
        await yard.change(deployment, parameters={"FAIL": "wrong parameter"})
        await until(lambda: _is_given_up(yard, deployment))
        status, detail = await yard.status(deployment)
        assert status is FAILED
        assert "wrong parameter" in (detail.reason or "")
        assert await yard.ready(deployment) == [old]
        # What is left is looked after as ever, with the parameters that it had.
        yard.processes()[old].kill()
        await until(lambda: _has_others(yard, deployment, old))
        assert {row.revision for row in (await yard.now(deployment)).workers if row.phase is Phase.READY} == {good}


async def _is_given_up(yard, deployment) -> bool:
    return (await yard.now(deployment)).observed.failed_revision is not None


async def test_what_a_worker_of_ours_says_last_is_the_reason(yard) -> None:
    async with yard.server() as reconciler:
        deployment = await yard.deploy(registry="modelyard", image="no-such-engine", command=())
        settled = await reconciler.wait_settled(deployment.id, 1, 30)
        assert "no-such-engine" in settled.observed.reason


async def test_our_own_fake_engine_gets_ready(yard) -> None:
    async with yard.server() as reconciler:
        deployment = await yard.deploy(registry="modelyard", image="fake", command=())
        settled = await reconciler.wait_settled(deployment.id, 1, 30)
        assert settled.observed.reason is None
        assert len(yard.route(deployment).endpoints) == 1


async def test_a_log_line_that_is_no_text_does_no_harm(yard) -> None:
    script = "import sys; sys.stderr.buffer.write(b'\\xff\\x00 broken\\n'); sys.exit(4)"
    async with yard.server() as reconciler:
        deployment = await yard.deploy(command=(sys.executable, "-c", script))
        settled = await reconciler.wait_settled(deployment.id, 1, 30)
        assert "exit code 4" in settled.observed.reason
        assert "broken" in settled.observed.reason


async def _holds(values: set[str], value: str) -> bool:
    return value in values


async def _has_ready(yard, deployment, count: int) -> bool:
    return len(await yard.ready(deployment)) == count


async def _has_others(yard, deployment, first: str) -> bool:
    ready = await yard.ready(deployment)
    return bool(ready) and first not in ready


async def _has_failures(yard, deployment, count: int) -> bool:
    return (await yard.now(deployment)).observed.failures >= count


async def _runs(yard, count: int) -> bool:
    return len(yard.processes()) == count


async def _is_dead(yard, worker_id: str) -> bool:
    return worker_id not in yard.processes()
