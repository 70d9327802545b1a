"""A worker's own directory: all that is known of it, so that any later server finds it again.

::

    <data-dir>/workers/<worker id>/
      spec.json      the WorkerSpec without its environment, and where it listens; written first
      process.json   {pid, created}: which process it is; written once it runs
      exit.json      {code}: how it ended, written by the server that was its parent
      verdict.json   {why}: why the launcher killed it, where it did
      status.json    written by workers of modelyard's own: {phase, detail}
      log, log.1 …   what it wrote, newest first; copied and cut when too long

The directory is the process's working directory. Files are replaced as a whole, never written in place.
"""

import contextlib
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from modelyard.domain.deployments import Resources, WorkerSpec

T = TypeVar("T", bound=msgspec.Struct)


class Record(msgspec.Struct, frozen=True):
    """What of a spec is needed after the start. The environment may hold secrets: it is not kept."""

    worker_id: str
    deployment_id: str
    revision: str
    registry: str
    image: str
    command: tuple[str, ...]
    address: str
    created_at: datetime
    cpus: int | None = None
    memory: int | None = None
    gpus: int | None = None
    gpu_ids: tuple[str, ...] = ()
    """Those that are its own."""

    @property
    def resources(self) -> Resources:
        return Resources(cpus=self.cpus, memory=self.memory, gpus=self.gpus)


class Process(msgspec.Struct, frozen=True):
    """Which process a worker is: its id may be used again by another one, its time of birth not."""

    pid: int
    created: float


class Exit(msgspec.Struct, frozen=True):
    code: int


class Verdict(msgspec.Struct, frozen=True):
    why: str


class Status(msgspec.Struct, frozen=True):
    """What a worker says of itself."""

    phase: str = ""
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Home:
    """One worker's directory. Reading what is not there, or not yet whole, gives None."""

    path: Path

    @property
    def worker_id(self) -> str:
        return self.path.name

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def status_file(self) -> Path:
        return self.path / "status.json"

    def record(self) -> Record | None:
        return self._read("spec.json", Record)

    def process(self) -> Process | None:
        return self._read("process.json", Process)

    def exit(self) -> Exit | None:
        return self._read("exit.json", Exit)

    def status(self) -> Status | None:
        return self._read("status.json", Status)

    def verdict(self) -> Verdict | None:
        return self._read("verdict.json", Verdict)

    def write_record(self, spec: WorkerSpec, address: str, gpu_ids: tuple[str, ...] = ()) -> None:
        record = Record(
            worker_id=spec.worker_id,
            deployment_id=spec.deployment_id,
            revision=spec.revision,
            registry=spec.registry,
            image=spec.image,
            command=spec.command,
            address=address,
            created_at=datetime.now(UTC),
            cpus=spec.resources.cpus,
            memory=spec.resources.memory,
            gpus=spec.resources.gpus,
            gpu_ids=gpu_ids,
        )
        self._write("spec.json", record)

    def write_process(self, process: Process) -> None:
        self._write("process.json", process)

    def write_exit(self, code: int) -> None:
        self._write("exit.json", Exit(code))

    def write_verdict(self, why: str) -> None:
        self._write("verdict.json", Verdict(why))

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def _read(self, name: str, type: type[T]) -> T | None:
        try:
            return msgspec.json.decode((self.path / name).read_bytes(), type=type)
        except (OSError, msgspec.DecodeError):
            return None

    def _write(self, name: str, value: msgspec.Struct) -> None:
        # Gone in between means that the worker was stopped: there is nothing left to tell.
        with contextlib.suppress(FileNotFoundError):
            new = self.path / f".{name}.{os.getpid()}"
            new.write_bytes(msgspec.json.encode(value))
            new.replace(self.path / name)
