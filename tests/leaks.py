"""Processes that a test started and did not end."""

import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from modelyard.launchers.local.processes import all_marked, is_alive

_GRACE_SECONDS = 10.0
_OF_PYTHON = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
"""What the standard library keeps for the life of the whole test run."""


_last: tuple[frozenset[int], Path, dict[int, psutil.Process]] | None = None
"""Which processes there were when they were last looked through, for which folder, and what was found."""


def present(directory: Path) -> dict[int, psutil.Process]:
    """By process id: descendants of this process, and workers of servers below ``directory``.

    They are looked for only if there are other processes than the last time: going through all of them twice for each
    of thousands of tests takes minutes.
    """
    global _last
    pids = frozenset(psutil.pids())
    if _last is None or _last[:2] != (pids, directory):
        _last = (pids, directory, _found(directory))
    return {pid: process for pid, process in _last[2].items() if is_alive(process) and not _is_pythons(process)}


def _found(directory: Path) -> dict[int, psutil.Process]:
    found = {process.pid: process for process in psutil.Process().children(recursive=True)}
    for _, process in all_marked():
        try:
            if process.environ().get("MODELYARD_WORKER_STATUS", "").startswith(f"{directory}/"):
                found[process.pid] = process
        except psutil.Error:
            continue
    return found


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
