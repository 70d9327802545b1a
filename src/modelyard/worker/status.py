"""The status file: what a worker says about itself while nobody can call it yet."""

import os
import time
from pathlib import Path

import msgspec

from modelyard.domain.deployments import Phase

PROGRESS_SECONDS = 0.25
"""Progress is written at most this often."""


class StatusFile:
    """``{"phase": "pulling|loading|ready|exited", "detail": "…"}``, replaced atomically, so that a reader
    always sees a whole one. Without a path nothing is written. Raises nothing: a full disk stops no worker."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._phase: Phase | None = None
        self._written = 0.0

    def write(self, phase: Phase, detail: str = "") -> None:
        now = time.monotonic()
        if phase is Phase.PULLING and self._phase is phase and now - self._written < PROGRESS_SECONDS:
            return
        self._phase, self._written = phase, now
        if self._path is None:
            return
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            draft.write_bytes(msgspec.json.encode({"phase": phase.value, "detail": detail}))
            draft.replace(self._path)
        except OSError:
            draft.unlink(missing_ok=True)
