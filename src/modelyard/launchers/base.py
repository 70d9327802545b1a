"""The launcher seam: how workers come and go, whatever they run on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from modelyard.domain.deployments import Observation, Resources, WorkerSpec


@dataclass(frozen=True, slots=True)
class Capacity:
    """What there is in all, and what running workers have reserved of it."""

    total: Resources
    reserved: Resources


class Launcher(Protocol):
    """Starts, observes and stops workers.

    Contract, checked for every launcher by ``tests/contract/launcher_suite.py``:

    - `start` is idempotent by the spec's worker id and returns once the start is under way, without
      waiting for the worker to be ready; it raises `LaunchError` (in words a user can act on) when the
      worker can never start, such as a command that does not exist.
    - `observe` lists every worker of the deployment that exists, orphans of earlier servers included, and
      those that exited until they are stopped. It tells STARTING, PULLING, LOADING or EXITED; a worker whose
      process runs and whose address is known is LOADING until a health probe, which is not the
      launcher's work, finds it ready.
    - `stop` asks politely, waits up to ``grace`` seconds, then kills the whole process group; it also
      forgets what is kept of a worker that exited, unless ``forget`` is False: then the worker stays
      listed as EXITED and its logs can be read until it is stopped again. Stopping what is gone is success.
    - `logs` gives the last lines that the worker wrote, oldest first; nothing for a worker never heard of.
    - Cancelling any of them leaves nothing half-done that a later call does not clean up.
    """

    async def start(self, spec: WorkerSpec) -> None: ...

    async def observe(self, deployment_id: str) -> Sequence[Observation]: ...

    async def deployments(self) -> Sequence[str]:
        """Ids of all deployments of which a worker exists, so that orphans can be found."""
        ...

    async def stop(self, worker_id: str, grace: float, *, forget: bool = True) -> None: ...

    async def logs(self, worker_id: str, lines: int = 200) -> Sequence[str]: ...

    async def capacity(self) -> Capacity: ...

    async def aclose(self) -> None:
        """Free the launcher's own resources; workers keep running unless they were stopped."""
        ...
