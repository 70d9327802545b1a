"""What this machine has, and sizes in words."""

import contextlib
from pathlib import Path

import psutil

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "RAYON_NUM_THREADS")


def threads(cpus: int) -> dict[str, str]:
    """The variables that engines' libraries heed, so that a worker computes on as many threads as it has CPUs."""
    return dict.fromkeys(_THREADS, str(cpus))


def memory() -> int:
    """Bytes of this machine, or of the container that the server runs in."""
    limits = [psutil.virtual_memory().total]
    for path in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # "max" is no number
            limits.append(int(Path(path).read_text()))
    return min(limits)


def gpus() -> list[str]:
    """The GPUs of this machine, by index."""
    return sorted(path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))


def in_words(number: float) -> str:
    """A size for people, as in 1.5 GiB."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.4g} {unit}"
        number /= 1024
    return f"{number:.4g} TiB"
