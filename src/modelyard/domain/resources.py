"""Sizes as Kubernetes writes them: 500M, 8Gi."""

import re

_UNITS = {
    "": 1,
    **{unit: 1000**power for power, unit in enumerate(("k", "M", "G", "T", "P"), 1)},
    **{unit: 1024**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi"), 1)},
}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)([kMGTP]i?|Ki)?\Z")


def parse_size(text: str) -> int:
    """Bytes for a Kubernetes quantity such as ``8Gi`` or ``500M``; ValueError for anything else."""
    match = _SIZE.match(text)
    if match is None or (unit := match[2] or "") not in _UNITS:
        raise ValueError(f"'{text}' is not a size; write a number and a unit, as in 500M or 8Gi")
    return int(float(match[1]) * _UNITS[unit])
