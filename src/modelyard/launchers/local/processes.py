"""Processes that outlive their parent: which one it is, whether it runs, how it ended, how to end it.

A worker leads its own session, so everything that it starts can be found and ended with it. A later server
knows it again by process id and time of birth, or by the variable ``MODELYARD_WORKER_ID`` in its environment
(clocks may be set; environments may be overwritten by programs that change their own title).
"""

import contextlib
import os
import signal
from collections.abc import Iterator

import psutil

from modelyard.launchers.local.home import Process

MARK = "MODELYARD_WORKER_ID"
"""The variable by which a worker's processes are told from all others."""

_CLOCK_TOLERANCE = 2.0


def born(pid: int) -> float:
    """When process ``pid`` began, in seconds since the epoch; 0 where it is gone already."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def is_running(process: Process, worker_id: str) -> bool:
    """Whether the very process still runs; one that ended and only waits to be reaped does not."""
    try:
        found = psutil.Process(process.pid)
        if found.status() == psutil.STATUS_ZOMBIE:
            return False
        return abs(found.create_time() - process.created) < _CLOCK_TOLERANCE or _mark(found) == worker_id
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return False  # another user's: ours was not


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs, and does not only wait to be reaped."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def marked(worker_id: str, leader: Process | None) -> list[psutil.Process]:
    """Every process of a worker that is alive: those with its mark, and those of its session."""
    found = []
    # While members of a session live, its id is given to no other process; if there is a process of that
    # id which is not the worker's leader, the worker's session is over.
    session = leader.pid if leader and (not psutil.pid_exists(leader.pid) or _alive(leader, worker_id)) else None
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            of_session = session is not None and os.getsid(process.pid) == session
            if (of_session or _mark(process) == worker_id) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _alive(leader: Process, worker_id: str) -> bool:
    # A leader that waits to be reaped still holds its session's id.
    try:
        found = psutil.Process(leader.pid)
        return found.status() == psutil.STATUS_ZOMBIE or is_running(leader, worker_id)
    except psutil.Error:
        return False


def all_marked() -> Iterator[tuple[str, psutil.Process]]:
    """``(worker id, process)`` of every process of this user that carries a mark."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if mark := _mark(process):
                yield mark, process


def _mark(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None


def signal_group(process: Process, number: signal.Signals) -> None:
    """Send a signal to the worker and all it started; nothing happens where it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
