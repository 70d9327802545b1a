"""The labels by which a later server finds its workers again, and nobody else's.

They hold all that is known of a worker besides what the engine itself tells, so that nothing has to be kept elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from modelyard.domain.deployments import WorkerSpec

INSTALLATION = "modelyard.installation"
"""Which data directory's server it belongs to: several may use one engine."""
DEPLOYMENT = "modelyard.deployment"
_WORKER, _REVISION, _REGISTRY = "modelyard.worker", "modelyard.revision", "modelyard.registry"
_PORT, _CPUS, _MEMORY = "modelyard.port", "modelyard.cpus", "modelyard.memory"
_GPUS, _GPU_IDS = "modelyard.gpus", "modelyard.gpu-ids"


@dataclass(frozen=True, slots=True)
class Held:
    """What a worker has for itself: a `modelyard.launchers.reservations.Reservation`."""

    cpus: int | None
    memory: int | None
    gpus: int | None
    gpu_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Marks:
    worker_id: str
    deployment_id: str
    revision: str
    registry: str
    port: int
    """Where it listens, inside its network."""
    held: Held


def name_of(worker_id: str) -> str:
    """A container's name: two starts of one worker cannot both get it."""
    return f"modelyard-{worker_id}"


def labels(installation: str, spec: WorkerSpec, port: int, held: Held) -> dict[str, str]:
    numbers = {_PORT: port, _CPUS: held.cpus, _MEMORY: held.memory, _GPUS: held.gpus}
    return {
        INSTALLATION: installation,
        DEPLOYMENT: spec.deployment_id,
        _WORKER: spec.worker_id,
        _REVISION: spec.revision,
        _REGISTRY: spec.registry,
        _GPU_IDS: ",".join(held.gpu_ids),
        **{name: str(number) for name, number in numbers.items() if number is not None},
    }


def read(found: Mapping[str, str]) -> Marks | None:
    """None where a container has not all of them, and so is none of ours."""

    def number(name: str) -> int | None:
        text = found.get(name, "")
        return int(text) if text.isdecimal() else None

    port = number(_PORT)
    if port is None or not all(found.get(name) for name in (_WORKER, DEPLOYMENT, _REVISION)):
        return None
    gpu_ids = tuple(gpu for gpu in found.get(_GPU_IDS, "").split(",") if gpu)
    return Marks(
        worker_id=found[_WORKER],
        deployment_id=found[DEPLOYMENT],
        revision=found[_REVISION],
        registry=found.get(_REGISTRY, ""),
        port=port,
        held=Held(number(_CPUS), number(_MEMORY), number(_GPUS), gpu_ids),
    )
