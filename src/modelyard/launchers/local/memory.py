"""How much memory a worker's processes hold, and how much there is.

Counted is what the kernel cannot take back: anonymous and shared memory. Weights that are mapped from a file are not:
their pages are the page cache's, and workers share them.
"""

import contextlib
from pathlib import Path

import psutil

_COUNTED = ("RssAnon:", "RssShmem:")
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def held(leader: int) -> int:
    """Bytes held by a process and all that descend from it; 0 where it is gone."""
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(leader)
        for each in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += _of(each)
    return total


def there_is() -> int:
    """Bytes of this machine, or of the container that the server runs in."""
    limits = [psutil.virtual_memory().total]
    for path in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # "max" is no number
            limits.append(int(Path(path).read_text()))
    return min(limits)


def in_words(number: float) -> str:
    """A size for people, as in 1.5 GiB."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.4g} {unit}"
        number /= 1024
    return f"{number:.4g} TiB"


def _of(process: psutil.Process) -> int:
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    except OSError:
        return int(process.memory_info().rss)  # no Linux: what there is
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(_COUNTED))
