"""The container launcher: one container for each worker, found again by later servers through its labels."""

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from modelyard.domain.deployments import Observation, Phase, Resources, WorkerSpec
from modelyard.domain.templates import BUILT_IN_REGISTRY
from modelyard.errors import LaunchError, Unavailable
from modelyard.launchers import machine
from modelyard.launchers.base import Capacity
from modelyard.launchers.container import looking
from modelyard.launchers.container.addresses import engine_address, is_here
from modelyard.launchers.container.configuration import (
    HOST_NETWORK,
    Place,
    configuration,
    port_inside,
    reference,
    require_gpus,
    require_mounts,
)
from modelyard.launchers.container.engine import Engine, Image, Info, Listed
from modelyard.launchers.container.faults import Refused, start_error
from modelyard.launchers.container.homes import Homes
from modelyard.launchers.container.labels import DEPLOYMENT, INSTALLATION, Held, Marks, name_of, read
from modelyard.launchers.container.pulls import Pull, Pulls
from modelyard.launchers.ports import FreePorts
from modelyard.launchers.reservations import Reservations, reserved
from modelyard.settings import Settings

log = structlog.get_logger(__name__)

_KILLED_SECONDS = 10.0
_HALF_MADE_SECONDS = 60.0
"""A container that was made this long ago and never started has lost its maker."""


@dataclass(slots=True)
class _Waiting:
    """A worker whose image is on its way: there is no container yet."""

    spec: WorkerSpec
    since: datetime
    pull: Pull
    task: asyncio.Task[None] | None = None
    trouble: str | None = None
    """Why it never came to a container."""

    @property
    def ending(self) -> str | None:
        """`trouble`, or what nobody foresaw."""
        if self.trouble is None and self.task is not None and self.task.done() and not self.task.cancelled():
            return repr(self.task.exception())
        return self.trouble


class ContainerLauncher:
    """A `modelyard.launchers.base.Launcher` of containers, on Docker or Podman.

    All state is with the engine: containers carry it as labels, and servers of one data directory see the same
    workers. Images are pulled by the server that was asked to start; if it ends, so does the pull, and the next
    server begins it again.
    """

    def __init__(self, data_dir: Path, settings: Settings, reservations: Reservations | None = None) -> None:
        self._settings = settings.containers
        self._log_bytes = settings.logging.worker_log_bytes
        self._engine = Engine(engine_address(settings.containers.engine, os.environ))
        self._here = is_here(self._engine.address)
        if self._here:
            require_mounts(settings.containers.mounts)
        self._homes = Homes(data_dir.absolute())
        self._pulls = Pulls(self._engine, settings.containers.registries)
        self._ports = FreePorts()
        self._info: Info | None = None
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._held: dict[str, Held] = {}
        self._ips: dict[str, str] = {}
        self._epitaphs: dict[str, tuple[int | None, str]] = {}
        self._reservations = reservations or Reservations()
        self._reservations.add_source(lambda: list(self._held.values()))

    @property
    def address(self) -> str:
        """The engine's."""
        return self._engine.address

    async def check(self) -> Info:
        """The engine's own facts; raises `Unavailable` where it does not answer."""
        if self._info is None:
            self._info = await self._engine.info()
        return self._info

    # The seam

    async def start(self, spec: WorkerSpec) -> None:
        task = self._starting.get(spec.worker_id)
        if task is None:
            task = asyncio.create_task(self._start(spec))
            self._starting[spec.worker_id] = task
            task.add_done_callback(lambda done: self._started(spec.worker_id, done))
        # A cancelled caller does not cut it in the middle: it is done as a whole or not at all.
        await asyncio.shield(task)

    async def observe(self, deployment_id: str) -> Sequence[Observation]:
        found = {}
        for listed, marks in await self._list({DEPLOYMENT: deployment_id}):
            if (seen := await self._observe(listed, marks)) is not None:
                found[marks.worker_id] = seen
        for worker_id, waiting in self._waiting.items():
            if waiting.spec.deployment_id == deployment_id:
                found.setdefault(worker_id, _waits(waiting))
        return list(found.values())

    async def deployments(self) -> Sequence[str]:
        listed = await self._list()
        for each, marks in listed:
            age = time.time() - each.created_at.timestamp()
            if looking.is_half_made(each) and marks.worker_id not in self._starting and age > _HALF_MADE_SECONDS:
                await self._forget(marks.worker_id)
        known = {marks.worker_id for _, marks in listed} | self._starting.keys() | self._waiting.keys()
        await asyncio.to_thread(self._homes.sweep, known, _HALF_MADE_SECONDS)
        waiting = {each.spec.deployment_id for each in self._waiting.values()}
        return sorted({marks.deployment_id for _, marks in listed} | waiting)

    async def stop(self, worker_id: str, grace: float, *, forget: bool = True) -> None:
        if (task := self._starting.get(worker_id)) is not None:
            await asyncio.wait([task])
        await self._give_up_waiting(worker_id, forget=forget)
        name = name_of(worker_id)
        state = await self._engine.state(name)
        if state is not None and state.running:
            await self._engine.signal(name, state.stop_signal)
            if not await self._engine.ended(name, grace):
                log.warning("worker did not stop in time and is killed", worker=worker_id, grace=grace)
                await self._engine.signal(name, "SIGKILL")
                await self._engine.ended(name, _KILLED_SECONDS)
        if forget or (state is not None and looking.is_made_only(state.state)):
            await self._forget(worker_id)

    async def logs(self, worker_id: str, lines: int = 200) -> Sequence[str]:
        return await self._engine.logs(name_of(worker_id), lines)

    async def capacity(self) -> Capacity:
        info = await self.check()
        await self._list()
        gpus = len(machine.gpus()) if self._here else None
        storage = self._homes.free_bytes() if self._here else None
        return Capacity(
            total=Resources(cpus=info.cpus, memory=info.memory, storage=storage, gpus=gpus),
            reserved=reserved(self._held.values()),
        )

    async def aclose(self) -> None:
        """Pulls end; containers go on without us."""
        tasks = [*self._starting.values(), *(each.task for each in self._waiting.values() if each.task)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._engine.aclose()

    # Starting

    def _started(self, worker_id: str, task: asyncio.Task[None]) -> None:
        self._starting.pop(worker_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("worker could not be started", worker=worker_id, error=str(error))  # whoever waited is told

    async def _start(self, spec: WorkerSpec) -> None:
        if spec.worker_id in self._waiting:
            return
        image_name = reference(spec, self._settings)
        try:
            state = await self._engine.state(name_of(spec.worker_id))
            if state is None:
                await self._make(spec, image_name)
            elif looking.is_made_only(state.state):  # whoever made it died before it started
                await self._engine.start(name_of(spec.worker_id))
        except Unavailable as error:
            raise LaunchError(str(error), code=error.code) from error
        except Refused as error:
            raise start_error(image_name, spec.command, error.message) from error

    async def _make(self, spec: WorkerSpec, image_name: str) -> None:
        """Run its container now, or once its image is here."""
        if (image := await self._engine.image(image_name)) is not None:
            await self._run(spec, image)
            return
        waiting = _Waiting(spec, datetime.now(UTC), self._pulls.join(image_name))
        self._waiting[spec.worker_id] = waiting
        waiting.task = asyncio.create_task(self._run_once_pulled(waiting, image_name))

    async def _run_once_pulled(self, waiting: _Waiting, image_name: str) -> None:
        spec = waiting.spec
        try:
            await self._pulls.finish(waiting.pull)
            image = await self._engine.image(image_name)
            await self._run(spec, image or Image(()))
            self._waiting.pop(spec.worker_id, None)
        except Refused as error:
            waiting.trouble = str(start_error(image_name, spec.command, error.message))
        except (LaunchError, Unavailable) as error:
            waiting.trouble = str(error)
        if waiting.trouble:
            log.warning("worker could not be started", worker=spec.worker_id, error=waiting.trouble)

    async def _run(self, spec: WorkerSpec, image: Image) -> None:
        info = await self.check()
        require_gpus(spec.resources, info)
        await self._list()
        on_host = self._settings.network == HOST_NETWORK
        port = self._ports.take(self._settings.host) if on_host else port_inside(image, self._settings)
        need = spec.resources
        with self._reservations.taking(need) as gpu_ids:
            self._held[spec.worker_id] = Held(need.cpus, need.memory, need.gpus, gpu_ids)
        config = configuration(spec, self._settings, info, self._place(spec, info, port, gpu_ids), os.environ)
        name = name_of(spec.worker_id)
        try:
            if await self._engine.create(name, config):
                await self._engine.start(name)
        except BaseException:
            self._held.pop(spec.worker_id, None)
            with suppress(Refused, Unavailable):
                await self._forget(spec.worker_id)
            raise
        log.info("worker started", worker=spec.worker_id, deployment=spec.deployment_id, image=config["Image"])

    def _place(self, spec: WorkerSpec, info: Info, port: int, gpu_ids: Sequence[str]) -> Place:
        built_in = spec.registry == BUILT_IN_REGISTRY and self._here
        return Place(
            installation=self._homes.installation(),
            log_bytes=self._log_bytes,
            port=port,
            gpu_ids=gpu_ids,
            status_dir=self._homes.make(spec.worker_id) if built_in else None,
            weights_dir=self._homes.weights() if built_in else None,
            # So that files in the weights directory belong to whom they belong without containers.
            user=f"{os.getuid()}:{os.getgid()}" if built_in and not info.rootless else None,
        )

    # Looking

    async def _list(self, wanted: dict[str, str] | None = None) -> list[tuple[Listed, Marks]]:
        """This installation's containers; all of them also bring what is reserved up to date."""
        listed = await self._engine.containers({INSTALLATION: self._homes.installation(), **(wanted or {})})
        found = [(each, marks) for each in listed if (marks := read(each.labels)) is not None]
        if wanted is None:
            running = {marks.worker_id: marks.held for each, marks in found if not looking.is_over(each.state)}
            for worker_id in set(self._held) - running.keys() - self._starting.keys() - self._waiting.keys():
                del self._held[worker_id]
            self._held |= running
            there = {each.id for each, _ in found}
            for remembered in (self._epitaphs, self._ips):
                for gone in remembered.keys() - there:
                    del remembered[gone]
        return found

    async def _observe(self, listed: Listed, marks: Marks) -> Observation | None:
        address = looking.address_of(listed, marks, self._settings, await self._ip_of(listed))
        phase = looking.phase_of(listed, address)
        if phase is None or (phase is Phase.STARTING and self._lost_its_maker(listed, marks)):
            return None
        detail, code = None, None
        own = self._homes.status(marks.worker_id) if marks.registry == BUILT_IN_REGISTRY else None
        if phase is Phase.EXITED:
            code, detail = await self._epitaph(listed, marks, own)
        elif own is not None and phase is Phase.LOADING and own.phase in (Phase.PULLING, Phase.LOADING):
            phase, detail = Phase(own.phase), own.detail
        return Observation(
            worker_id=marks.worker_id,
            deployment_id=marks.deployment_id,
            revision=marks.revision,
            phase=phase,
            address=address,
            detail=detail,
            exit_code=code,
            started_at=listed.created_at,
        )

    async def _ip_of(self, listed: Listed) -> str | None:
        """Asked for once, and only where workers are called there: lists of containers do not tell them everywhere."""
        if self._settings.network in (None, HOST_NETWORK) or not looking.is_running(listed.state):
            return None
        if listed.id not in self._ips:
            state = await self._engine.state(listed.id)
            if state is None or state.ip is None:
                return None
            self._ips[listed.id] = state.ip
        return self._ips[listed.id]

    def _lost_its_maker(self, listed: Listed, marks: Marks) -> bool:
        """Made, but never started, and nobody here is about to: it never was, and may be started again."""
        own = marks.worker_id in self._starting or marks.worker_id in self._waiting
        return looking.is_half_made(listed) and not own

    async def _epitaph(self, listed: Listed, marks: Marks, own: looking.Status | None) -> tuple[int | None, str]:
        """Exit code and words; final, so asked for once."""
        if listed.id not in self._epitaphs:
            state = await self._engine.state(listed.id)
            if state is None:
                return None, "is gone"
            lines = await self._engine.logs(listed.id, looking.LAST_WORDS_LINES)
            self._epitaphs[listed.id] = state.exit_code, looking.epitaph(state, marks, own, lines)
        return self._epitaphs[listed.id]

    # Ending

    async def _give_up_waiting(self, worker_id: str, *, forget: bool) -> None:
        waiting = self._waiting.get(worker_id)
        if waiting is None:
            return
        if waiting.task is not None and not waiting.task.done():
            waiting.task.cancel()
            await asyncio.wait([waiting.task])
            waiting.trouble = "stopped while its image was pulled"
        if forget:
            self._waiting.pop(worker_id, None)

    async def _forget(self, worker_id: str) -> None:
        await self._engine.remove(name_of(worker_id))
        await asyncio.to_thread(self._homes.remove, worker_id)
        self._held.pop(worker_id, None)


def _waits(waiting: _Waiting) -> Observation:
    return Observation(
        worker_id=waiting.spec.worker_id,
        deployment_id=waiting.spec.deployment_id,
        revision=waiting.spec.revision,
        phase=Phase.EXITED if waiting.ending else Phase.PULLING,
        detail=waiting.ending or waiting.pull.detail,
        started_at=waiting.since,
    )
