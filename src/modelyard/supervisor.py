"""`modelyard serve`: one process, or with ``gateways`` several that this one starts, watches and ends.

::

    supervisor ── controller       owns the workers
              ├── gateway 1        ┐ accept from one listening socket
              └── gateway N        ┘

Whichever dies is started again, and takes nothing with it but the connections it had. The supervisor serves nobody, so
that nothing is lost with it either: the others go on, and the next server takes their place.
"""

import contextlib
import multiprocessing
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

import structlog
import uvloop

from modelyard import logs
from modelyard.control.telemetry.metrics import SHARED_METRICS, forget_process
from modelyard.errors import ConfigurationError, ModelyardError
from modelyard.http.server import BACKLOG, listening_socket
from modelyard.main import prepare, run, run_controller, run_gateway, tell_address
from modelyard.processes import end_left_behind, forget, only_server_of, written_down
from modelyard.settings import Settings

log = structlog.get_logger(__name__)

_CONTROLLER = "controller"
_LISTENING_SECONDS = 10.0
_CONTROLLING_SECONDS = 10.0
_START_SECONDS = 120.0
_STEADY_SECONDS = 10.0
"""One that lived for so long is started again at once; one that did not, after a pause that doubles."""
_LONGEST_PAUSE_SECONDS = 30.0
_MARGIN_SECONDS = 30.0
"""What the end of a process may take beyond the calls that it finishes."""

_spawning = multiprocessing.get_context("spawn")


def serve(settings: Settings) -> None:
    """Be a server until SIGTERM or SIGINT."""
    with only_server_of(settings.data_dir):
        end_left_behind(settings.data_dir, _LISTENING_SECONDS, _CONTROLLING_SECONDS)
        if settings.gateways == 1:
            uvloop.run(run(settings))
            return
        logs.configure(settings.logging)
        with contextlib.closing(listening_socket(settings)) as listener:
            uvloop.run(prepare(settings))
            os.environ[SHARED_METRICS] = str(_empty(settings.data_dir / "run" / "metrics"))
            listener.listen(BACKLOG)
            Supervisor(settings, listener).run()


def _empty(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


@dataclass(slots=True)
class _Child:
    name: str
    process: SpawnProcess
    ready: Connection
    started_at: float
    failures: int = 0
    """How often in a row it ended before it was steady."""


@dataclass(slots=True)
class _Pause:
    """Before a child is started once more."""

    failures: int
    until: float


@dataclass(slots=True)
class Supervisor:
    settings: Settings
    listener: socket.socket
    _children: dict[str, _Child] = field(default_factory=dict)
    _pauses: dict[str, _Pause] = field(default_factory=dict)
    _stopping: bool = False

    def run(self) -> None:
        names = [_CONTROLLER, *(f"gateway-{number}" for number in range(1, self.settings.gateways + 1))]
        with _wakeable() as woken:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._heed)
            try:
                for name in names:
                    self._start(name)
                self._await_ready()
                if not self._stopping:
                    tell_address(self.listener)
                while not self._stopping:
                    self._look(woken)
            finally:
                self._stop()

    def _heed(self, number: int, frame: object) -> None:
        self._stopping = True

    def _start(self, name: str, failures: int = 0) -> None:
        ready, told = _spawning.Pipe(duplex=False)
        arguments: tuple[object, ...] = (self.settings, os.getpid(), told)
        target: Callable[..., None] = _controller
        if name != _CONTROLLER:
            target, arguments = _gateway, (*arguments, self.listener)
        process = _spawning.Process(target=target, args=arguments, name=f"modelyard {name}")
        process.start()
        told.close()
        self._children[name] = _Child(name, process, ready, time.monotonic(), failures)

    def _await_ready(self) -> None:
        """`ConfigurationError` with a child's own words where one cannot start."""
        until = time.monotonic() + _START_SECONDS
        for child in self._children.values():
            while not self._stopping and not child.ready.poll(0.1):
                if time.monotonic() > until:
                    raise ConfigurationError(f"The {child.name} process did not start within {_START_SECONDS:g} s.")
            if self._stopping:
                return
            try:
                problem = child.ready.recv()
            except EOFError:
                problem = f"The {child.name} process ended while it started; the lines above say why."
            if problem:
                raise ConfigurationError(problem)

    def _look(self, woken: int) -> None:
        """Wait for something to happen, and start again what has died."""
        now = time.monotonic()
        for name, pause in list(self._pauses.items()):
            if pause.until <= now:
                del self._pauses[name]
                self._start(name, pause.failures)
        until = min((pause.until for pause in self._pauses.values()), default=None)
        wait(
            [woken, *(child.process.sentinel for child in self._children.values())],
            None if until is None else max(0.01, until - now),
        )
        with contextlib.suppress(BlockingIOError):
            os.read(woken, 4096)
        for child in [each for each in self._children.values() if not each.process.is_alive()]:
            self._buried(child)

    def _buried(self, child: _Child) -> None:
        child.process.join()
        child.ready.close()
        if child.process.pid is not None:
            forget(self.settings.data_dir, child.name.partition("-")[0], child.process.pid)
            forget_process(child.process.pid)
        del self._children[child.name]
        if self._stopping:
            return
        steady = time.monotonic() - child.started_at >= _STEADY_SECONDS
        failures = 0 if steady else child.failures + 1
        pause = min(_LONGEST_PAUSE_SECONDS, 0.5 * 2 ** (failures - 2)) if failures > 1 else 0.0
        log.error("a process died", name=child.name, exit_code=child.process.exitcode, again_in_seconds=pause)
        self._pauses[child.name] = _Pause(failures, time.monotonic() + pause)

    def _stop(self) -> None:
        """Gateways first: they finish their calls; then the controller, which ends the workers that nobody calls."""
        self._stopping = True
        # Who comes now is to be refused, not to wait for nobody.
        self.listener.close()
        seconds = self.settings.gateway.drain_seconds + _MARGIN_SECONDS
        controller = self._children.pop(_CONTROLLER, None)
        _end(list(self._children.values()), signal.SIGTERM, seconds)
        _end([controller] if controller else [], signal.SIGUSR1, seconds)


def _end(children: Sequence[_Child], number: signal.Signals, seconds: float) -> None:
    for child in children:
        if child.process.pid is not None and child.process.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.process.pid, number)
    until = time.monotonic() + seconds
    for child in children:
        child.process.join(max(0.0, until - time.monotonic()))
        if child.process.is_alive():
            log.error("a process does not end and is killed", name=child.name)
            child.process.kill()
            child.process.join()


@contextlib.contextmanager
def _wakeable() -> Iterator[int]:
    """A file descriptor that can be read from when a signal has come."""
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    before = signal.set_wakeup_fd(writer)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)


def _gateway(settings: Settings, supervisor: int, told: Connection, listener: socket.socket) -> None:
    with _child(settings.data_dir, "gateway", told):
        uvloop.run(run_gateway(settings, listener, lambda: told.send(None)))


def _controller(settings: Settings, supervisor: int, told: Connection) -> None:
    with _child(settings.data_dir, _CONTROLLER, told):
        # A service manager may send SIGTERM to all processes at once; the supervisor knows the order.
        uvloop.run(run_controller(settings, lambda: told.send(None), lambda: os.getppid() == supervisor))


@contextlib.contextmanager
def _child(data_dir: Path, role: str, told: Connection) -> Iterator[None]:
    # Ctrl-C reaches all processes of a terminal; who is to end, and when, is the supervisor's to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with written_down(data_dir, role):
            yield
    except ModelyardError as error:
        with contextlib.suppress(OSError):
            told.send(str(error))
        raise SystemExit(1) from error
