"""What workers have reserved of this machine, and whether one more fits."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from modelyard.domain.deployments import Resources
from modelyard.errors import LaunchError
from modelyard.launchers.local import memory
from modelyard.launchers.local.home import Record

_HINT = "Stop something, or ask for less in endpoint_config or vendor_configuration."


def gpus() -> list[str]:
    """The GPUs of this machine, by index."""
    return sorted(path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))


def total(storage: int) -> Resources:
    return Resources(cpus=os.cpu_count() or 1, memory=memory.there_is(), storage=storage, gpus=len(gpus()))


def reserved(running: Iterable[Record]) -> Resources:
    records = list(running)
    return Resources(
        cpus=sum(record.cpus or 0 for record in records),
        memory=sum(record.memory or 0 for record in records),
        gpus=sum(record.gpus or 0 for record in records),
    )


def taken_gpus(need: Resources, running: Sequence[Record], there: Sequence[str]) -> tuple[str, ...]:
    """The GPUs that a new worker gets, which no other has. Raises `LaunchError` where memory or GPUs do not suffice."""
    if need.memory:
        have, used = memory.there_is(), sum(record.memory or 0 for record in running)
        if used + need.memory > have:
            raise LaunchError(
                f"There is no room for a worker with {memory.in_words(need.memory)} of memory: "
                f"{memory.in_words(used)} of {memory.in_words(have)} are reserved.",
                hint=_HINT,
            )
    if not need.gpus:
        return ()
    taken = {gpu for record in running for gpu in record.gpu_ids}
    free = [gpu for gpu in there if gpu not in taken]
    if len(free) < need.gpus:
        raise LaunchError(
            f"There is no room for a worker with {need.gpus} GPUs: {len(free)} of {len(there)} are free.", hint=_HINT
        )
    return tuple(free[: need.gpus])
