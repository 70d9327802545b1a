"""What the launcher keeps in the data directory: this installation's name, and workers' status files.

::

    <data-dir>/installation                        a random name, made once: containers carry it
    <data-dir>/containers/<worker id>/status.json  written by workers of modelyard's own: {phase, detail}
    <data-dir>/weights                             shared by all workers of modelyard's own
"""

import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import msgspec

from modelyard.launchers.container.configuration import STATUS_FILE
from modelyard.launchers.container.looking import Status


class Homes:
    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._root = data_dir / "containers"
        self._installation: str | None = None

    def installation(self) -> str:
        if self._installation is None:
            path = self._data_dir / "installation"
            self._data_dir.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}.{uuid4().hex}")
            draft.write_text(f"{uuid4()}\n")
            with suppress(FileExistsError):
                os.link(draft, path)  # whole, or not at all, and of two only one
            draft.unlink()
            self._installation = path.read_text().strip()
        return self._installation

    def weights(self) -> Path:
        """As the engine has to see it: a link would lead nowhere inside."""
        path = self._data_dir / "weights"
        path.mkdir(parents=True, exist_ok=True)
        return path.resolve()

    def make(self, worker_id: str) -> Path:
        path = self._root / worker_id
        path.mkdir(parents=True, exist_ok=True)
        return path

    def status(self, worker_id: str) -> Status | None:
        """None where there is none, or none that is whole."""
        try:
            return msgspec.json.decode((self._root / worker_id / STATUS_FILE).read_bytes(), type=Status)
        except (OSError, msgspec.DecodeError):
            return None

    def remove(self, worker_id: str) -> None:
        shutil.rmtree(self._root / worker_id, ignore_errors=True)

    def sweep(self, known: Iterable[str], older: float) -> None:
        """Remove what belongs to no worker any more and was made ``older`` seconds ago or longer."""
        keep, before = set(known), time.time() - older
        with suppress(FileNotFoundError):
            for entry in list(os.scandir(self._root)):
                if entry.name not in keep and entry.stat().st_ctime < before:
                    shutil.rmtree(entry.path, ignore_errors=True)

    def free_bytes(self) -> int:
        self._data_dir.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self._data_dir).free
