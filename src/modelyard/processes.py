"""Which processes a data directory has: one server at a time, of one process or of several.

A server of several processes leaves the others running when its first one is killed: gateways go on serving, the
controller goes on controlling. Each has a file in ``<data-dir>/run`` by which the next server finds it and takes its
place.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import structlog
from filelock import FileLock, Timeout

from modelyard.errors import ConfigurationError

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 0.05


class _Process(msgspec.Struct, frozen=True):
    """Its id may be used again by another one, its time of birth not."""

    pid: int
    created: float


@contextlib.contextmanager
def only_server_of(data_dir: Path) -> Iterator[None]:
    """Two servers on one data directory would both own its workers; the second is told so."""
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(data_dir / "server.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ConfigurationError(
            f"Another modelyard server is using the data directory {data_dir}.",
            hint="Stop it, or give this one its own with --data-dir.",
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def written_down(data_dir: Path, role: str) -> Iterator[None]:
    """This process can be found by later servers while the block runs."""
    path = _path(data_dir, role, os.getpid())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(_Process(os.getpid(), psutil.Process().create_time())))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def forget(data_dir: Path, role: str, pid: int) -> None:
    """That process is gone, and could not say so itself."""
    _path(data_dir, role, pid).unlink(missing_ok=True)


def end_left_behind(data_dir: Path, listening: float, controlling: float) -> None:
    """End the processes of a server that was killed: its controller within ``controlling`` seconds; gateways stop
    listening within ``listening`` seconds and finish their calls beside the new ones."""
    controllers: list[psutil.Process] = []
    gateways: list[psutil.Process] = []
    for path in sorted(_directory(data_dir).glob("*.json")):
        process = _running(path)
        if process is None:
            path.unlink(missing_ok=True)
            continue
        log.warning("a process of a killed server is told to end", pid=process.pid, file=path.name)
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
        (controllers if path.name.startswith("controller") else gateways).append(process)
    for process in psutil.wait_procs(controllers, timeout=controlling)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    until = time.monotonic() + listening
    while any(map(_listens, gateways)) and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)


def _directory(data_dir: Path) -> Path:
    return data_dir / "run"


def _path(data_dir: Path, role: str, pid: int) -> Path:
    return _directory(data_dir) / f"{role}-{pid}.json"


def _running(path: Path) -> psutil.Process | None:
    try:
        known = msgspec.json.decode(path.read_bytes(), type=_Process)
        process = psutil.Process(known.pid)
        return process if process.create_time() == known.created and process.is_running() else None
    except (OSError, msgspec.DecodeError, psutil.Error):
        return None


def _listens(process: psutil.Process) -> bool:
    try:
        return any(each.status == psutil.CONN_LISTEN for each in process.net_connections("tcp"))
    except psutil.Error:
        return False
