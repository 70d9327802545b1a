"""What workers have reserved of this machine, and whether one more fits.

Launchers on one machine share one `Reservations`: a GPU that a process has is given to no container.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from modelyard.domain.deployments import Resources
from modelyard.errors import LaunchError
from modelyard.launchers import machine

_HINT = "Stop something, or ask for less in endpoint_config or vendor_configuration."


class Reservation(Protocol):
    """What one worker that runs, or is being started, has for itself."""

    @property
    def cpus(self) -> int | None: ...

    @property
    def memory(self) -> int | None: ...

    @property
    def gpus(self) -> int | None: ...

    @property
    def gpu_ids(self) -> tuple[str, ...]:
        """Those that are its own."""
        ...


class Reservations:
    """Everybody's, by the launchers that know them."""

    def __init__(self) -> None:
        self._sources: list[Callable[[], Iterable[Reservation]]] = []
        # Of two that start at once, both must not be given the same room.
        self._lock = threading.Lock()

    def add_source(self, source: Callable[[], Iterable[Reservation]]) -> None:
        self._sources.append(source)

    @contextmanager
    def taking(self, need: Resources) -> Iterator[tuple[str, ...]]:
        """Give the GPUs that a new worker gets; nobody else takes anything until the block ends, within which the
        worker must have become known to its source. Raises `LaunchError` where memory or GPUs do not suffice."""
        with self._lock:
            taken = [each for source in self._sources for each in source()]
            yield taken_gpus(need, taken, machine.gpus())


def reserved(running: Iterable[Reservation]) -> Resources:
    all_of_them = list(running)
    return Resources(
        cpus=sum(each.cpus or 0 for each in all_of_them),
        memory=sum(each.memory or 0 for each in all_of_them),
        gpus=sum(each.gpus or 0 for each in all_of_them),
    )


def taken_gpus(need: Resources, running: Sequence[Reservation], there: Sequence[str]) -> tuple[str, ...]:
    """The GPUs that a new worker gets, which no other has. Raises `LaunchError` where memory or GPUs do not suffice."""
    if need.memory:
        have, used = machine.memory(), sum(each.memory or 0 for each in running)
        if used + need.memory > have:
            raise LaunchError(
                f"There is no room for a worker with {machine.in_words(need.memory)} of memory: "
                f"{machine.in_words(used)} of {machine.in_words(have)} are reserved.",
                hint=_HINT,
            )
    if not need.gpus:
        return ()
    taken = {gpu for each in running for gpu in each.gpu_ids}
    free = [gpu for gpu in there if gpu not in taken]
    if len(free) < need.gpus:
        raise LaunchError(
            f"There is no room for a worker with {need.gpus} GPUs: {len(free)} of {len(there)} are free.", hint=_HINT
        )
    return tuple(free[: need.gpus])
