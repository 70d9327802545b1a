"""What an engine says when something fails, in words a user can act on.

Engines have no stable codes for what can go wrong: Docker and Podman, and their runtimes beneath, are recognised
by parts of their messages.
"""

import re
from collections.abc import Sequence

from modelyard.errors import LaunchError, Unavailable

_LONGEST = 500
_SPACE = "no space left on device"


class Refused(Exception):
    """The engine answered, and the answer was no. ``status`` is HTTP's; 0 in the midst of a stream."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    @property
    def is_unknown(self) -> bool:
        """Whether there is no such container or image."""
        return self.status == 404

    @property
    def is_taken(self) -> bool:
        """Whether the name is another container's already; Podman tells that by 500."""
        return self.status == 409 or "already in use" in self.message


def unreachable(address: str, said: str) -> Unavailable:
    hint = "Is it running? MODELYARD_CONTAINERS__ENGINE says where it is asked."
    if "permission denied" in said.lower():
        hint = "The server's user may not use it: add it to the engine's group (docker), or use an engine of its own."
    elif "no such file" in said.lower():
        hint = "There is no such socket: start the engine, or say where it is by MODELYARD_CONTAINERS__ENGINE."
    return Unavailable(
        f"The container engine at {address} cannot be reached: {_short(said)}.",
        code="container_engine_unavailable",
        retry_after=5,
        hint=hint,
    )


def pull_error(reference: str, said: str) -> LaunchError:
    """Why an image could not be had."""
    registry, low = reference.partition("/")[0], said.lower()
    if _has(low, "unauthorized", "denied", "authentication required", "forbidden"):
        return LaunchError(
            f"The registry {registry} does not give out the image {reference}: {_short(said)}.",
            hint="It may not exist, or need credentials: see MODELYARD_CONTAINERS__REGISTRIES.",
        )
    if _has(low, "manifest unknown", "not found", "name unknown", "no such image", "does not exist"):
        return LaunchError(
            f"There is no image {reference}: {_short(said)}.",
            hint="Check registry, image and tag in the template's bundle_config.",
        )
    if _SPACE in low:
        return LaunchError(
            f"The container engine's disk is full: the image {reference} could not be pulled.",
            hint="Free some space, by `docker system prune` for one.",
        )
    if _has(low, "dial tcp", "no such host", "connection refused", "timeout", "network is unreachable", "tls:"):
        return LaunchError(
            f"The registry {registry} could not be reached for the image {reference}: {_short(said)}.",
            hint="Check the registry's name and this machine's network, or pull the image by hand.",
        )
    return LaunchError(f"The image {reference} could not be pulled: {_short(said)}.")


def start_error(reference: str, command: Sequence[str], said: str) -> LaunchError:
    """Why a container could not be created or started."""
    program, low = command[0] if command else "its own", said.lower()
    if _has(low, "could not select device driver", "nvidia-container", "cdi device"):
        return LaunchError(
            f"The container engine gives out no GPUs: {_short(said)}.",
            hint="Install NVIDIA's container toolkit, or choose another MODELYARD_CONTAINERS__GPU_DRIVER.",
        )
    if _SPACE in low:
        return LaunchError("The container engine's disk is full.", hint="Free some space.")
    if _has(low, "init binary", "docker-init", "catatonit"):
        return LaunchError(
            f"The container engine has no init: {_short(said)}.",
            hint="Install it (catatonit, tini), or leave MODELYARD_CONTAINERS__INIT at false.",
        )
    if _has(low, "statfs", "bind source path", "mount path"):
        return LaunchError(
            f"A directory that containers are to see cannot be mounted: {_short(said)}.",
            hint="See MODELYARD_CONTAINERS__MOUNTS.",
        )
    if _has(low, "network") and "not found" in low:
        return LaunchError(f"There is no such network: {_short(said)}.", hint="See MODELYARD_CONTAINERS__NETWORK.")
    if _has(low, "exec:", "exec failed", "starting container process", "start container process"):
        if _has(low, "executable file not found", "no such file or directory", "not found"):
            return LaunchError(
                f"The command '{program}' was not found in the image {reference}.",
                hint="Check bundle_config.command; no shell reads it, each item is one argument.",
            )
        if "permission denied" in low:
            return LaunchError(f"The command '{program}' of the image {reference} is not executable.")
    return LaunchError(f"The container of the image {reference} could not be started: {_short(said)}.")


def _has(text: str, *parts: str) -> bool:
    return any(part in text for part in parts)


def _short(said: str) -> str:
    """One line, without the final full stop."""
    line = re.sub(r"\s+", " ", said).strip().rstrip(".")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
