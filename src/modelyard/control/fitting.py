"""Whether what a deployment reserves can ever be had here."""

from collections.abc import Iterator, Mapping
from typing import Any

from modelyard.domain.deployments import Resources
from modelyard.errors import FieldError
from modelyard.launchers.base import Capacity

_GIB = 1024**3


def check_fits(need: Resources, configuration: Mapping[str, Any], total: Resources) -> Iterator[FieldError]:
    """What one worker reserves and no machine of the launcher has, with both figures."""
    for name, unit in (("memory", "GiB of memory"), ("gpus", "GPUs")):
        asked, there = getattr(need, name), getattr(total, name)
        if asked and there is not None and asked > there:
            scale = _GIB if name == "memory" else 1
            where = "" if configuration.get(name) is not None else " (the template says so)"
            yield FieldError(
                ("body", "vendor_configuration", name),
                f"a worker would reserve {asked / scale:,.6g} {unit}{where}, and there are "
                f"{there / scale:,.6g} in all: it could never start; ask for less, or leave it out to reserve nothing",
                "never_fits",
            )


def oversubscribed(need: Resources, workers: int, capacity: Capacity) -> str | None:
    """A warning where more CPUs are promised than there are; they are shared then."""
    there, before = capacity.total.cpus, capacity.reserved.cpus or 0
    after = before + (need.cpus or 0) * workers
    if not need.cpus or there is None or after <= there:
        return None
    return f"CPUs are oversubscribed: {after} are promised to workers, and there are {there}; they share them."
