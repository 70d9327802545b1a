"""The local launcher: one process for each worker, found again by later servers through its directory."""

import asyncio
import errno
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import structlog

from modelyard.domain.deployments import Observation, Phase, Resources, WorkerSpec
from modelyard.domain.specs import bound
from modelyard.errors import LaunchError
from modelyard.launchers import machine
from modelyard.launchers.base import Capacity
from modelyard.launchers.endings import MORE_MEMORY, in_words, last_words
from modelyard.launchers.local import log_files, memory
from modelyard.launchers.local.environment import command, environment
from modelyard.launchers.local.home import Home, Process, Record
from modelyard.launchers.local.processes import all_marked, born, is_alive, is_running, marked, signal_group
from modelyard.launchers.ports import FreePorts
from modelyard.launchers.reservations import Reservations, reserved
from modelyard.settings import Settings

log = structlog.get_logger(__name__)

HOST = "127.0.0.1"
_POLL_SECONDS = 0.02
_KILLED_SECONDS = 5.0
"""A killed process is gone at once, unless the kernel is busy on its behalf."""

_LAST_WORDS_LINES = 40


class LocalLauncher:
    """A `modelyard.launchers.base.Launcher` of processes on this machine.

    All state is in ``<data_dir>/workers``: several launchers on one data directory see the same workers.
    Processes are started with `subprocess` and watched by looking, not by asyncio: its child processes are
    killed with the event loop that started them, and a worker must outlive its server.
    """

    def __init__(self, data_dir: Path, settings: Settings, reservations: Reservations | None = None) -> None:
        self._root = data_dir.absolute() / "workers"
        self._log_bytes = settings.logging.worker_log_bytes
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._records: dict[str, Record] = {}
        self._ports = FreePorts()
        self._reservations = reservations or Reservations()
        self._reservations.add_source(self._running)

    # The seam

    async def start(self, spec: WorkerSpec) -> None:
        # In a thread that a cancelled caller does not interrupt: it is done as a whole or not at all.
        await asyncio.to_thread(self._start, spec)

    async def observe(self, deployment_id: str) -> Sequence[Observation]:
        found = []
        for home in self._homes():
            record = self._record(home)
            if record is None or record.deployment_id != deployment_id:
                continue
            if (observation := await self._observe(home, record)) is not None:
                found.append(observation)
        return found

    async def deployments(self) -> Sequence[str]:
        await asyncio.to_thread(self._end_strays)
        return sorted({record.deployment_id for home in self._homes() if (record := self._record(home))})

    async def stop(self, worker_id: str, grace: float, *, forget: bool = True) -> None:
        home = Home(self._root / worker_id)
        if not home.path.is_dir():
            return
        await self._end(home, grace)
        if forget:
            await asyncio.to_thread(home.remove)
            self._children.pop(worker_id, None)
            self._records.pop(worker_id, None)

    async def logs(self, worker_id: str, lines: int = 200) -> Sequence[str]:
        return await asyncio.to_thread(log_files.tail, Home(self._root / worker_id).log, lines)

    async def capacity(self) -> Capacity:
        return await asyncio.to_thread(self._capacity)

    async def aclose(self) -> None:
        """Nothing is held but the children, and those go on without us."""
        self._children.clear()

    def knows(self, worker_id: str) -> bool:
        """Whether there is anything of this worker."""
        return (self._root / worker_id).is_dir()

    # Starting

    def _start(self, spec: WorkerSpec) -> None:
        home = Home(self._root / spec.worker_id)
        try:
            home.path.mkdir(parents=True, exist_ok=True)
            with _locked(home.path, wait=True):
                if home.process() is None:
                    if home.record() is not None:
                        _kill_all_of(spec.worker_id, None)  # a server may have died right after starting it
                    self._spawn(home, spec)
        except OSError as error:
            raise LaunchError(_launch_words(error, home.path)) from error

    def _spawn(self, home: Home, spec: WorkerSpec) -> None:
        port = self._ports.take(HOST)
        spec = bound(spec, host=HOST, port=port)
        try:
            with self._reservations.taking(spec.resources) as gpu_ids:
                env = environment(spec, home, gpu_ids)
                argv = command(spec, env)
                home.write_record(spec, f"http://{HOST}:{port}", gpu_ids)
                child = _popen(argv, env, home)
        except (OSError, LaunchError):
            home.remove()
            raise
        self._children[spec.worker_id] = child
        home.write_process(Process(child.pid, born(child.pid)))
        log.info("worker started", worker=spec.worker_id, deployment=spec.deployment_id, pid=child.pid, port=port)

    # Looking

    def _homes(self) -> list[Home]:
        try:
            return [Home(Path(entry.path)) for entry in os.scandir(self._root) if entry.is_dir()]
        except FileNotFoundError:
            return []

    def _record(self, home: Home) -> Record | None:
        record = self._records.get(home.worker_id)
        if record is None and (record := home.record()) is not None and home.process() is not None:
            self._records[home.worker_id] = record  # final, now that it runs
        return record

    async def _observe(self, home: Home, record: Record) -> Observation | None:
        phase, detail, code = Phase.LOADING, None, None
        if home.process() is None:
            with _locked(home.path) as free:
                if free and home.process() is None:
                    return None  # whoever began to start it is gone; it never was
            phase = Phase.STARTING
        elif self._runs(home):
            said = home.status()
            if said is not None and said.phase in (Phase.PULLING, Phase.LOADING):
                phase, detail = Phase(said.phase), said.detail
            if record.memory:
                await asyncio.to_thread(self._bound_memory, home, record.memory)
            if log_files.is_longer(home.log, self._log_bytes):
                await asyncio.to_thread(log_files.rotate, home.log)
        else:
            ended = home.exit()
            phase, code = Phase.EXITED, ended.code if ended is not None else None
            detail = await self._epitaph(home, code)
        return Observation(
            worker_id=record.worker_id,
            deployment_id=record.deployment_id,
            revision=record.revision,
            phase=phase,
            address=record.address,
            detail=detail,
            exit_code=code,
            started_at=record.created_at,
        )

    def _runs(self, home: Home) -> bool:
        child = self._children.get(home.worker_id)
        if child is not None:
            if child.poll() is None:
                return True
            if home.exit() is None:
                home.write_exit(child.returncode)
            return False
        process = home.process()
        return process is not None and home.exit() is None and is_running(process, home.worker_id)

    async def _epitaph(self, home: Home, code: int | None) -> str:
        """Why a worker ended: its own words where it left any, else the end of its log, and how it ended."""
        if (verdict := home.verdict()) is not None:
            return verdict.why
        said = home.status()
        if said is not None and said.phase == Phase.EXITED and said.detail:
            return said.detail
        words = last_words(await self.logs(home.worker_id, _LAST_WORDS_LINES))
        return f"{in_words(code)}: {words}" if words else f"{in_words(code)}; it wrote nothing"

    # Ending

    def _bound_memory(self, home: Home, limit: int) -> None:
        """Kill a worker that holds more than it has reserved; why is written down first."""
        process = home.process()
        if process is None or (used := memory.held(process.pid)) <= limit or not self._runs(home):
            return
        why = (
            f"out of memory: it held {machine.in_words(used)}, and its limit is {machine.in_words(limit)}; "
            f"{MORE_MEMORY}"
        )
        log.warning("worker is killed", worker=home.worker_id, why=why)
        home.write_verdict(why)
        signal_group(process, signal.SIGKILL)

    async def _end(self, home: Home, grace: float) -> None:
        process = home.process()
        if process is not None and self._runs(home):
            signal_group(process, signal.SIGTERM)
            if not await self._ended(home, grace):
                log.warning("worker did not stop in time and is killed", worker=home.worker_id, grace=grace)
            signal_group(process, signal.SIGKILL)
        await asyncio.to_thread(_kill_all_of, home.worker_id, process)
        await self._ended(home, _KILLED_SECONDS)

    async def _ended(self, home: Home, seconds: float) -> bool:
        """Whether the process ended within ``seconds``."""
        for _ in range(max(1, round(seconds / _POLL_SECONDS))):
            if not self._runs(home):
                return True
            await asyncio.sleep(_POLL_SECONDS)
        return not self._runs(home)

    def _end_strays(self) -> None:
        """Kill processes of ours that no file tells of: their server died right after starting them. And
        drop directories in which nothing runs or ran."""
        for home in self._homes():
            if home.process() is None:
                with _locked(home.path) as free:
                    if free and home.process() is None:
                        _kill_all_of(home.worker_id, None)
                        home.remove()
        root = str(self._root) + os.sep
        for worker_id, process in all_marked():
            with suppress(psutil.Error):
                ours = process.environ().get("MODELYARD_WORKER_STATUS", "").startswith(root)
                if ours and not (self._root / worker_id).exists():
                    process.kill()

    def _capacity(self) -> Capacity:
        self._root.mkdir(parents=True, exist_ok=True)
        total = Resources(
            cpus=os.cpu_count() or 1,
            memory=machine.memory(),
            storage=shutil.disk_usage(self._root).free,
            gpus=len(machine.gpus()),
        )
        return Capacity(total=total, reserved=reserved(self._running()))

    def _running(self) -> list[Record]:
        """Of every worker that runs, or is being started."""
        return [
            record
            for home in self._homes()
            if (record := self._record(home)) and (home.process() is None or self._runs(home))
        ]


def _popen(argv: list[str], env: dict[str, str], home: Home) -> subprocess.Popen[bytes]:
    with home.log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - only administrators make templates that run commands
            argv,
            cwd=home.path,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _kill_all_of(worker_id: str, leader: Process | None) -> None:
    """Kill what is left of a worker, and wait (in this thread) until it is."""
    left = marked(worker_id, leader)
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    deadline = time.monotonic() + _KILLED_SECONDS
    # Not psutil's own waiting: it would reap our children, and their exit codes with them.
    while any(map(is_alive, left)) and time.monotonic() < deadline:
        time.sleep(0.005)


@contextmanager
def _locked(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold a directory's lock, or tell that somebody else does. It ends with its holder, however that ends."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _launch_words(error: OSError, path: Path) -> str:
    if error.errno == errno.ENOSPC:
        return f"The disk that holds {path.parent} is full; free some space."
    what = f" ({error.filename})" if error.filename else ""
    return f"The worker's process could not be started: {error.strerror or error}{what}."
