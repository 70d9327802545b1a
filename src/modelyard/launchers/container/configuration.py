"""What an engine is asked to run for a worker: the body of its API's "create a container"."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.domain.deployments import Resources, WorkerSpec
from modelyard.domain.specs import bound
from modelyard.domain.templates import BUILT_IN_REGISTRY
from modelyard.errors import ConfigurationError, LaunchError
from modelyard.launchers import machine
from modelyard.launchers.container.engine import Image, Info
from modelyard.launchers.container.labels import Held, labels
from modelyard.settings import ContainersSettings

WEIGHTS = "/var/lib/modelyard/weights"
STATUS_DIR = "/run/modelyard"
STATUS_FILE = "status.json"
HOST_NETWORK = "host"
_ALL = "0.0.0.0"  # noqa: S104 - inside a container, whose network decides who comes in

_SHARED_MEMORY = 1024**3
"""Bytes that /dev/shm may grow to: 64 MiB, as engines have it, are too few for torch's and vLLM's processes."""

_LOGS_KEPT = "4"
_WEIGHTS_VOLUME = "modelyard-weights"
_FOR_WEIGHTS = ("HF_", "HUGGING_FACE_", "PIP_", "AWS_", "AZURE_")
_NOT_IN_THERE = frozenset({"HF_HOME", "HF_HUB_CACHE", "PIP_CONFIG_FILE", "PIP_CACHE_DIR"})  # name this machine's files
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one container runs."""

    installation: str
    log_bytes: int
    port: int
    """Where it listens: inside its network, or on this machine where that is the network."""
    gpu_ids: Sequence[str] = ()
    status_dir: Path | None = None
    """Its own directory for the status file; None: it has none."""
    weights_dir: Path | None = None
    """Where this machine keeps weights; None: the engine is elsewhere."""
    user: str | None = None


def reference(spec: WorkerSpec, settings: ContainersSettings) -> str:
    """The image's whole name, as in docker.io/library/python:3.13 or ghcr.io/me/model@sha256:…"""
    if spec.registry == BUILT_IN_REGISTRY:
        if settings.worker_image is None:
            raise LaunchError(
                f"The launcher has no image for the built-in engine {spec.image}.",
                hint="Name it by MODELYARD_CONTAINERS__WORKER_IMAGE.",
            )
        return settings.worker_image.replace("{engine}", spec.image)
    separator = "@" if spec.tag.startswith("sha256:") else ":"
    return f"{spec.registry}/{spec.image}{separator}{spec.tag}"


def port_inside(image: Image, settings: ContainersSettings) -> int:
    return image.exposed[0] if len(image.exposed) == 1 else settings.port


def require_gpus(need: Resources, info: Info) -> None:
    """Raise `LaunchError` where a worker would silently get none of the GPUs that it reserves."""
    if need.gpus and info.podman:
        raise LaunchError(
            "Podman gives containers no GPUs through Docker's API: it ignores that they are asked for.",
            hint="Use Docker for this deployment, or a template without gpus.",
        )


def require_mounts(mounts: Sequence[str]) -> None:
    """Raise `ConfigurationError` where a directory is not there: engines would make an empty one."""
    for mount in mounts:
        source, _, rest = mount.partition(":")
        if not rest.startswith("/") or not Path(source).is_absolute() or not Path(source).exists():
            raise ConfigurationError(
                f"MODELYARD_CONTAINERS__MOUNTS has '{mount}', and there is no {source} here, or it says not where to.",
                hint="Each is /on/the/machine:/in/the/container, with :ro at its end to forbid writing.",
            )


def configuration(
    spec: WorkerSpec, settings: ContainersSettings, info: Info, place: Place, environ: Mapping[str, str]
) -> dict[str, Any]:
    """``environ`` is the server's; nothing of it is handed on but what built-in engines need to fetch weights."""
    on_host = settings.network == HOST_NETWORK
    spec = bound(spec, host=settings.host if on_host else _ALL, port=place.port)
    built_in = spec.registry == BUILT_IN_REGISTRY
    # Last words must reach the log, of Python's programs too.
    env = {"PYTHONUNBUFFERED": "1", **_threads(spec), **spec.env}
    if built_in:
        env = {**_for_weights(place, environ), **env, "MODELYARD_WEIGHTS_DIR": WEIGHTS}
    if place.status_dir is not None:
        env["MODELYARD_WORKER_STATUS"] = f"{STATUS_DIR}/{STATUS_FILE}"
    env["MODELYARD_WORKER_ID"] = spec.worker_id
    held = Held(spec.resources.cpus, spec.resources.memory, spec.resources.gpus, tuple(place.gpu_ids))
    config: dict[str, Any] = {
        "Image": reference(spec, settings),
        "Env": [f"{name}={value}" for name, value in env.items()],
        "Labels": labels(place.installation, spec, place.port, held),
        "HostConfig": _host_config(spec, settings, info, place),
    }
    if settings.network is None:
        config["ExposedPorts"] = {f"{place.port}/tcp": {}}
    if spec.command:
        # As Kubernetes reads `command`: the whole of it, the image's own entry point set aside.
        config |= {"Entrypoint": list(spec.command), "Cmd": []}
    if built_in and place.user is not None:
        config["User"] = place.user
    return config


def _host_config(spec: WorkerSpec, settings: ContainersSettings, info: Info, place: Place) -> dict[str, Any]:
    need = spec.resources
    host: dict[str, Any] = {
        "Init": settings.init,
        "ShmSize": _SHARED_MEMORY,
        "SecurityOpt": ["no-new-privileges"],
        "RestartPolicy": {"Name": "no"},  # whether it starts again is not the engine's to decide
        "Binds": _binds(spec, settings, place),
        "LogConfig": {
            "Type": "json-file",
            "Config": {"max-size": str(place.log_bytes), "max-file": _LOGS_KEPT},
        },
    }
    if settings.network is None:
        host["PortBindings"] = {f"{place.port}/tcp": [{"HostIp": settings.host, "HostPort": ""}]}
    else:
        host["NetworkMode"] = settings.network
    if need.memory:
        host |= {"Memory": need.memory, "MemorySwap": need.memory}
    if need.cpus:
        # More than there are may be promised, but engines refuse to be asked for them.
        host["NanoCpus"] = min(need.cpus, info.cpus or need.cpus) * 10**9
    if place.gpu_ids:
        host["DeviceRequests"] = [_gpus(settings.gpu_driver, place.gpu_ids)]
    return host


def _gpus(driver: str, ids: Sequence[str]) -> dict[str, Any]:
    if driver == "cdi":
        return {"Driver": "cdi", "DeviceIDs": [f"nvidia.com/gpu={gpu}" for gpu in ids]}
    return {"Driver": driver, "DeviceIDs": list(ids), "Capabilities": [["gpu"]]}


def _binds(spec: WorkerSpec, settings: ContainersSettings, place: Place) -> list[str]:
    # "z": where SELinux rules, it lets containers in.
    binds = list(settings.mounts)
    if spec.registry == BUILT_IN_REGISTRY:
        binds.append(f"{place.weights_dir}:{WEIGHTS}:z" if place.weights_dir else f"{_WEIGHTS_VOLUME}:{WEIGHTS}")
    if place.status_dir is not None:
        binds.append(f"{place.status_dir}:{STATUS_DIR}:z")
    return binds


def _threads(spec: WorkerSpec) -> dict[str, str]:
    return machine.threads(spec.resources.cpus) if spec.resources.cpus else {}


def _for_weights(place: Place, environ: Mapping[str, str]) -> dict[str, str]:
    handed_on = {
        name: value
        for name, value in environ.items()
        if (name.startswith(_FOR_WEIGHTS) and name not in _NOT_IN_THERE) or name.upper() in _PROXIES
    }
    # A user of this machine has no home inside.
    return {**handed_on, **({"HOME": "/tmp"} if place.user else {})}  # noqa: S108
