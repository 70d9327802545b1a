"""A worker's log: kept within bounds while it is being written, read from its end."""

import os
import shutil
from pathlib import Path

KEPT = 3
"""Old logs that are kept beside the current one."""

_TAIL_BYTES = 256 * 1024


def is_longer(log: Path, limit: int) -> bool:
    try:
        return log.stat().st_size > limit
    except FileNotFoundError:
        return False


def rotate(log: Path) -> None:
    """Copy ``log`` aside and empty it.

    The worker holds it open for appending and goes on at the new end. What it writes between the copy and
    the cut is lost: no log of a foreign program can be rotated otherwise.
    """
    for number in range(KEPT - 1, 0, -1):
        old = _numbered(log, number)
        if old.exists():
            old.replace(_numbered(log, number + 1))
    shutil.copyfile(log, _numbered(log, 1))
    os.truncate(log, 0)


def tail(log: Path, lines: int) -> list[str]:
    """The last ``lines`` lines over the current log and the old ones, oldest first."""
    found: list[str] = []
    for path in (log, *(_numbered(log, number) for number in range(1, KEPT + 1))):
        if len(found) >= lines:
            break
        found = _lines(path) + found
    return found[-lines:] if lines > 0 else []


def _numbered(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    lines = text.splitlines()
    return lines[1:] if size > _TAIL_BYTES else lines
