"""What every launcher promises (`modelyard.launchers.base.Launcher`): one suite, real workers.

A launcher's own test module subclasses `LauncherSuite` and gives two fixtures: ``launcher`` and
``make_launcher`` (another one on the same workers, as after a restart of the server).
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import aiohttp
import pytest

from modelyard.domain.deployments import Observation, Phase, WorkerSpec
from modelyard.errors import LaunchError
from modelyard.launchers.base import Launcher
from modelyard.testing.workers import fake_spec

SECONDS = 20.0
"""Longer than anything here takes on a slow machine; nothing asserts how fast it was."""


async def observed(launcher: Launcher, spec: WorkerSpec) -> Observation | None:
    found = await launcher.observe(spec.deployment_id)
    return next((one for one in found if one.worker_id == spec.worker_id), None)


async def until(launcher: Launcher, spec: WorkerSpec, phase: Phase) -> Observation:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        one = await observed(launcher, spec)
        if one is not None and one.phase is phase:
            return one
        await asyncio.sleep(0.02)
    raise AssertionError(f"never {phase}: {await observed(launcher, spec)}")


async def answer(address: str | None) -> dict[str, object]:
    """What the worker's health route says, once it listens."""
    deadline = time.monotonic() + SECONDS
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{address}/readyz") as response:
                    return dict(await response.json())
            except aiohttp.ClientConnectionError:
                assert time.monotonic() < deadline, f"nobody answers at {address}"
                await asyncio.sleep(0.02)


async def pid_of(launcher: Launcher, spec: WorkerSpec) -> int:
    one = await until(launcher, spec, Phase.LOADING)
    pid = (await answer(one.address))["pid"]
    assert isinstance(pid, int)
    return pid


class LauncherSuite:
    def spec(self, *, command: tuple[str, ...] | None = None, cpus: int | None = None, **env: str) -> WorkerSpec:
        """A worker of a deployment of its own, as this launcher runs it."""
        made = fake_spec(cpus=cpus, **env)
        return made if command is None else replace(made, command=command)

    def process_id(self, spec: WorkerSpec, inside: int) -> int:
        """Of the worker's process that knows itself as ``inside``."""
        return inside

    async def pid_of(self, launcher: Launcher, spec: WorkerSpec) -> int:
        return self.process_id(spec, await pid_of(launcher, spec))

    async def test_a_worker_gets_an_address_and_answers_there(self, launcher: Launcher) -> None:
        spec = self.spec(VERSION="seven")
        await launcher.start(spec)
        one = await until(launcher, spec, Phase.LOADING)
        assert (one.deployment_id, one.revision) == (spec.deployment_id, spec.revision)
        assert (await answer(one.address))["version"] == "seven"

    async def test_starting_twice_is_starting_once(self, launcher: Launcher) -> None:
        spec = self.spec()
        await asyncio.gather(launcher.start(spec), launcher.start(spec))
        pid = await self.pid_of(launcher, spec)
        await launcher.start(spec)
        assert await self.pid_of(launcher, spec) == pid
        assert len(await launcher.observe(spec.deployment_id)) == 1

    async def test_each_deployment_has_its_own_workers(self, launcher: Launcher) -> None:
        one, other = self.spec(), self.spec()
        await launcher.start(one)
        await launcher.start(other)
        assert [seen.worker_id for seen in await launcher.observe(one.deployment_id)] == [one.worker_id]
        assert set(await launcher.deployments()) == {one.deployment_id, other.deployment_id}

    async def test_what_can_never_start_says_why(self, launcher: Launcher) -> None:
        spec = self.spec(command=("no-such-command-anywhere",))
        with pytest.raises(LaunchError, match="no-such-command-anywhere"):
            await launcher.start(spec)
        assert await launcher.observe(spec.deployment_id) == []

    async def test_a_worker_that_ended_stays_listed_with_its_last_words(self, launcher: Launcher) -> None:
        spec = self.spec(FAIL="the weights have a hole")
        await launcher.start(spec)
        one = await until(launcher, spec, Phase.EXITED)
        assert "the weights have a hole" in (one.detail or "")
        assert one.exit_code == 1
        assert any("hole" in line for line in await launcher.logs(spec.worker_id))

    async def test_stopping_forgets(self, launcher: Launcher) -> None:
        spec = self.spec(FAIL="x")
        await launcher.start(spec)
        await until(launcher, spec, Phase.EXITED)
        await launcher.stop(spec.worker_id, 1)
        assert await observed(launcher, spec) is None
        assert await launcher.deployments() == []

    async def test_stopping_without_forgetting_keeps_the_log(self, launcher: Launcher) -> None:
        spec = self.spec(SAY="remember me")
        await launcher.start(spec)
        await self.pid_of(launcher, spec)
        await launcher.stop(spec.worker_id, 5, forget=False)
        await until(launcher, spec, Phase.EXITED)
        assert "remember me" in await launcher.logs(spec.worker_id)

    async def test_stopping_ends_the_process_and_all_it_started(
        self, launcher: Launcher, is_alive: Callable[[int], bool]
    ) -> None:
        spec = self.spec(CHILD="yes", STUBBORN="yes")
        await launcher.start(spec)
        pid = await self.pid_of(launcher, spec)
        child = self.process_id(spec, int((await launcher.logs(spec.worker_id))[-1].removeprefix("child ")))
        assert is_alive(pid)
        assert is_alive(child)
        await launcher.stop(spec.worker_id, 0.2)
        assert not is_alive(pid)
        assert not is_alive(child)

    async def test_stopping_what_is_gone_is_success(self, launcher: Launcher) -> None:
        spec = self.spec()
        await launcher.stop(spec.worker_id, 1)
        await launcher.start(spec)
        await asyncio.gather(launcher.stop(spec.worker_id, 5), launcher.stop(spec.worker_id, 5))
        await launcher.stop(spec.worker_id, 5)
        assert await launcher.observe(spec.deployment_id) == []

    async def test_nothing_was_written_by_a_worker_never_heard_of(self, launcher: Launcher) -> None:
        assert await launcher.logs(str(uuid4())) == []

    async def test_logs_are_the_last_lines(self, launcher: Launcher) -> None:
        spec = self.spec(SAY="one\ntwo\nthree")
        await launcher.start(spec)
        await self.pid_of(launcher, spec)
        assert await launcher.logs(spec.worker_id, 2) == ["two", "three"]

    async def test_a_later_server_finds_running_workers_again(
        self, launcher: Launcher, make_launcher: Callable[[], Launcher], is_alive: Callable[[int], bool]
    ) -> None:
        spec = self.spec()
        await launcher.start(spec)
        pid = await self.pid_of(launcher, spec)
        await launcher.aclose()
        later = make_launcher()
        assert is_alive(pid)
        assert await self.pid_of(later, spec) == pid
        await later.start(spec)
        assert await self.pid_of(later, spec) == pid
        await later.stop(spec.worker_id, 5)
        assert not is_alive(pid)

    async def test_cancelling_a_start_leaves_a_whole_worker_or_none(self, launcher: Launcher) -> None:
        spec = self.spec()
        starting = asyncio.create_task(launcher.start(spec))
        await asyncio.sleep(0)
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await launcher.start(spec)
        await self.pid_of(launcher, spec)
        assert len(await launcher.observe(spec.deployment_id)) == 1

    async def test_cancelling_a_stop_leaves_one_that_can_be_stopped(
        self, launcher: Launcher, is_alive: Callable[[int], bool]
    ) -> None:
        spec = self.spec(STUBBORN="yes")
        await launcher.start(spec)
        pid = await self.pid_of(launcher, spec)
        stopping = asyncio.create_task(launcher.stop(spec.worker_id, 30))
        await asyncio.sleep(0.05)
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)
        await launcher.stop(spec.worker_id, 0.1)
        assert not is_alive(pid)
        assert await observed(launcher, spec) is None

    async def test_capacity_counts_what_workers_reserve(self, launcher: Launcher) -> None:
        before = await launcher.capacity()
        assert before.total.cpus
        spec = self.spec(cpus=2)
        await launcher.start(spec)
        assert (await launcher.capacity()).reserved.cpus == (before.reserved.cpus or 0) + 2
