"""Places on workers that several gateway processes of one machine share, so that together they keep to ``per_worker``.

A place is a byte of a file that stands for the worker, and who has it holds the kernel's lock on it. A lock ends with
its process, however that ends: a killed gateway leaves no place taken.
"""

import contextlib
import fcntl
import os
from collections.abc import Container
from pathlib import Path
from typing import Protocol


class Places(Protocol):
    shared: bool
    """Whether a place may become free without anything happening in this process."""

    def take(self, worker_id: str, limit: int) -> int | None:
        """One of the places 0 to ``limit`` - 1 that nobody has, or None."""
        ...

    def give(self, worker_id: str, place: int) -> None: ...

    def keep(self, worker_ids: Container[str]) -> None:
        """Forget all other workers."""
        ...


class OwnPlaces:
    """Of the only gateway there is: the balancer's own count is all it takes."""

    shared = False

    def take(self, worker_id: str, limit: int) -> int | None:
        return 0

    def give(self, worker_id: str, place: int) -> None:
        pass

    def keep(self, worker_ids: Container[str]) -> None:
        pass


class _Taken:
    """The file of one worker, and which of its bytes this process holds: the kernel does not tell a process from
    itself."""

    __slots__ = ("file", "places")

    def __init__(self, path: Path) -> None:
        self.file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.places: set[int] = set()


class SharedPlaces:
    shared = True

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._taken: dict[str, _Taken] = {}

    def take(self, worker_id: str, limit: int) -> int | None:
        taken = self._taken.get(worker_id)
        if taken is None:
            taken = self._taken[worker_id] = _Taken(self._directory / worker_id)
        for place in range(limit):
            if place not in taken.places and _locked(taken.file, place):
                taken.places.add(place)
                return place
        return None

    def give(self, worker_id: str, place: int) -> None:
        taken = self._taken[worker_id]
        taken.places.remove(place)
        fcntl.lockf(taken.file, fcntl.LOCK_UN, 1, place)

    def keep(self, worker_ids: Container[str]) -> None:
        for worker_id, taken in list(self._taken.items()):
            if worker_id not in worker_ids and not taken.places:
                os.close(taken.file)
                del self._taken[worker_id]
                with contextlib.suppress(FileNotFoundError):
                    (self._directory / worker_id).unlink()


def _locked(file: int, place: int) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except OSError:
        return False
    return True
