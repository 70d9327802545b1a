"""How far a fetch is, told to whoever waits for it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class FetchPhase(StrEnum):
    WAITING = "waiting"  # another process fetches the same weights
    DOWNLOADING = "downloading"
    EXTRACTING = "extracting"
    CHECKING = "checking"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class Progress:
    """``total_bytes`` is None as long as nobody knows."""

    uri: str
    done_bytes: int
    total_bytes: int | None
    phase: FetchPhase


Report = Callable[[FetchPhase, int, int | None], None]
"""What a source calls as it goes: phase, bytes done, bytes in all."""


def human(size: int) -> str:
    """Bytes for people: 98.4 MB."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError("unreachable")
