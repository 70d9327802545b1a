"""How much memory a worker's processes hold.

Counted is what the kernel cannot take back: anonymous and shared memory. Weights that are mapped from a file are not:
their pages are the page cache's, and workers share them.
"""

import contextlib
from pathlib import Path

import psutil

_COUNTED = ("RssAnon:", "RssShmem:")


def held(leader: int) -> int:
    """Bytes held by a process and all that descend from it; 0 where it is gone."""
    total = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(leader)
        for each in [process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                total += _of(each)
    return total


def _of(process: psutil.Process) -> int:
    try:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    except OSError:
        return int(process.memory_info().rss)  # no Linux: what there is
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(_COUNTED))
