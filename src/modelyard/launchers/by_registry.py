"""Two launchers as one: what a bundle's registry says decides where a worker runs.

Commands of this machine (``local``) are processes, images are containers. Built-in engines (``modelyard``) are
processes too, as they need nothing but what the server itself has, unless an image for them is named.
"""

import asyncio
import time
from collections.abc import Sequence

from modelyard.domain.deployments import Observation, Resources, WorkerSpec
from modelyard.domain.templates import BUILT_IN_REGISTRY, LOCAL_REGISTRY
from modelyard.errors import Unavailable
from modelyard.launchers.base import Capacity, Launcher
from modelyard.launchers.local import LocalLauncher

_WITHOUT_SECONDS = 30.0


class ByRegistry:
    """A `modelyard.launchers.base.Launcher` that hands on to one for processes and one for containers.

    An engine that cannot be reached harms no process: what has nothing in containers is answered without it.
    """

    def __init__(self, processes: LocalLauncher, containers: Launcher, *, built_in_as_containers: bool) -> None:
        self._processes = processes
        self._containers = containers
        self._as_processes = {LOCAL_REGISTRY} if built_in_as_containers else {LOCAL_REGISTRY, BUILT_IN_REGISTRY}
        self._in_containers: set[str] = set()
        """Deployments that had containers when last looked at."""
        self._without: dict[str, float] = {}
        """When it was last seen that a deployment had none; monotonic seconds."""

    async def start(self, spec: WorkerSpec) -> None:
        if spec.registry in self._as_processes:
            await self._processes.start(spec)
        else:
            self._in_containers.add(spec.deployment_id)
            self._without.pop(spec.deployment_id, None)
            await self._containers.start(spec)

    async def observe(self, deployment_id: str) -> Sequence[Observation]:
        processes = await self._processes.observe(deployment_id)
        if processes and time.monotonic() - self._without.get(deployment_id, -_WITHOUT_SECONDS) < _WITHOUT_SECONDS:
            return processes  # looks are frequent, and asking an engine costs more than looking at a process
        try:
            containers = await self._containers.observe(deployment_id)
        except Unavailable:
            if deployment_id in self._in_containers:
                raise
            return processes
        if containers:
            self._in_containers.add(deployment_id)
        else:
            self._in_containers.discard(deployment_id)
            self._without[deployment_id] = time.monotonic()
        return [*processes, *containers]

    async def deployments(self) -> Sequence[str]:
        processes = await self._processes.deployments()
        now = time.monotonic()
        self._without = {each: at for each, at in self._without.items() if now - at < _WITHOUT_SECONDS}
        try:
            return sorted({*processes, *await self._containers.deployments()})
        except Unavailable:
            return processes

    async def stop(self, worker_id: str, grace: float, *, forget: bool = True) -> None:
        if self._processes.knows(worker_id):
            await self._processes.stop(worker_id, grace, forget=forget)
        else:
            await self._containers.stop(worker_id, grace, forget=forget)

    async def logs(self, worker_id: str, lines: int = 200) -> Sequence[str]:
        if self._processes.knows(worker_id):
            return await self._processes.logs(worker_id, lines)
        return await self._containers.logs(worker_id, lines)

    async def capacity(self) -> Capacity:
        here = await self._processes.capacity()
        try:
            there = await self._containers.capacity()
        except Unavailable:
            return here
        return Capacity(_larger(here.total, there.total), _sum(here.reserved, there.reserved))

    async def aclose(self) -> None:
        await asyncio.gather(self._processes.aclose(), self._containers.aclose())


def _larger(one: Resources, other: Resources) -> Resources:
    """The engine may see the whole machine where the server is in a container itself."""

    def larger(name: str) -> int | None:
        return max((n for each in (one, other) if (n := getattr(each, name)) is not None), default=None)

    return Resources(cpus=larger("cpus"), memory=larger("memory"), storage=larger("storage"), gpus=larger("gpus"))


def _sum(one: Resources, other: Resources) -> Resources:
    return Resources(
        cpus=(one.cpus or 0) + (other.cpus or 0),
        memory=(one.memory or 0) + (other.memory or 0),
        gpus=(one.gpus or 0) + (other.gpus or 0),
    )
