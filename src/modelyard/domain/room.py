"""How many more workers there is room for."""

from modelyard.domain.deployments import Resources


def room_for(need: Resources, total: Resources, reserved: Resources) -> int | None:
    """How many more workers that reserve ``need`` fit; None where they reserve nothing that is counted. CPUs are
    not: they may be oversubscribed."""
    fits = [
        max(0, (whole - (getattr(reserved, name) or 0)) // each)
        for name in ("memory", "gpus")
        if (each := getattr(need, name)) and (whole := getattr(total, name)) is not None
    ]
    return min(fits, default=None)
