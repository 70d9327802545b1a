"""Processes that a test started and did not end."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from modelyard.launchers.local.processes import MARK, is_alive

STATUS = "MODELYARD_WORKER_STATUS"
_GRACE_SECONDS = 10.0
_OF_PYTHON = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
"""What the standard library keeps for the life of the whole test run."""


_looked_at: set[int] = set()
_known: dict[int, psutil.Process] = {}
"""Which processes were looked at, and which of them may be what a test leaves behind."""


def present(directory: Path) -> dict[int, psutil.Process]:
    """By process id: descendants of this process, and workers of servers below ``directory``.

    Only processes that were not there the last time are looked at: going through all of them twice for each of
    thousands of tests takes minutes.
    """
    pids = set(psutil.pids())
    for pid in pids - _looked_at:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if MARK in process.environ() or _is_below(process):
                _known[pid] = process
    for pid in _looked_at - pids:
        _known.pop(pid, None)
    _looked_at.clear()
    _looked_at.update(pids)
    return {pid: process for pid, process in _known.items() if _counts(process, directory)}


def _counts(process: psutil.Process, directory: Path) -> bool:
    if not is_alive(process) or _is_pythons(process):
        return False
    try:
        return _is_below(process) or process.environ().get(STATUS, "").startswith(f"{directory}/")
    except psutil.Error:
        return False


def _is_below(process: psutil.Process) -> bool:
    return any(each.pid == os.getpid() for each in _above(process))


def left_since(
    before: dict[int, psutil.Process], directory: Path, seconds: float = _GRACE_SECONDS
) -> list[psutil.Process]:
    """What is there now, was not before, and does not belong to something that was: a server that many tests share may
    keep its workers. Who is just about to end gets ``seconds`` for it."""
    deadline = time.monotonic() + seconds
    while True:
        left = [
            process
            for process in present(directory).values()
            if before.get(process.pid) != process and not any(before.get(each.pid) == each for each in _above(process))
        ]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)


def described(process: psutil.Process) -> str:
    try:
        return f"{process.pid}: {' '.join(process.cmdline())}"
    except psutil.Error:
        return str(process.pid)


def _above(process: psutil.Process) -> Iterator[psutil.Process]:
    try:
        yield from process.parents()
    except psutil.Error:
        return


def _is_pythons(process: psutil.Process) -> bool:
    try:
        return any(name in " ".join(process.cmdline()) for name in _OF_PYTHON)
    except psutil.Error:
        return False
