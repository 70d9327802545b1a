"""The container engine: the few calls of its API that a launcher needs, typed.

The API is Docker's (https://docs.docker.com/reference/api/engine/); Podman speaks it too. Everything raises
`Unavailable` where the engine cannot be reached, and `Refused` where it says no.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiodocker import Docker
from aiodocker.exceptions import DockerError

from modelyard.launchers.container.faults import Refused, unreachable
from modelyard.settings import RegistryLogin

_UNREACHABLE = 900
"""aiodocker's status for "no connection"."""

_LISTED = ("Id", "Labels", "State", "Created", "Ports")

# The engine may work for long on one answer (a start on a busy disk), but not for ever.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=120)


@dataclass(frozen=True, slots=True)
class Listed:
    """A container as a list of them shows it."""

    id: str
    labels: Mapping[str, str]
    state: str
    """created, running, paused, exited, …: Docker's and Podman's words differ a little."""
    created_at: datetime
    published: Mapping[int, int]
    """Port inside to port outside."""


@dataclass(frozen=True, slots=True)
class State:
    running: bool
    state: str
    exit_code: int
    out_of_memory: bool
    trouble: str
    """The engine's own words on why it could not be started, if it could not."""
    stop_signal: str
    ip: str | None
    """Its address in its network; it is in one."""


@dataclass(frozen=True, slots=True)
class Image:
    exposed: tuple[int, ...]
    """TCP ports that its maker says it listens on."""


@dataclass(frozen=True, slots=True)
class Info:
    cpus: int
    memory: int
    rootless: bool
    """Whether root inside is the engine's own user outside."""
    version: str
    podman: bool


class Engine:
    def __init__(self, address: str) -> None:
        self.address = address
        self._docker: Docker | None = None
        self._podman: bool | None = None

    async def aclose(self) -> None:
        if self._docker is not None:
            await self._docker.close()
            self._docker = None

    @contextmanager
    def _asking(self) -> Iterator[Docker]:
        try:
            if self._docker is None:
                self._docker = Docker(self.address, timeout=_TIMEOUT)
            yield self._docker
        except DockerError as error:
            if error.status == _UNREACHABLE:
                raise unreachable(self.address, _cause(error)) from error
            raise Refused(error.status, str(error.message)) from error
        except (aiohttp.ClientError, OSError) as error:  # a time-out of aiohttp's is both
            raise unreachable(self.address, str(error) or type(error).__name__) from error

    # What there is

    async def info(self) -> Info:
        with self._asking() as docker:
            said = await docker.system.info()
        podman = await self._is_podman()
        options = said.get("SecurityOptions") or []
        return Info(
            cpus=int(said.get("NCPU") or 0),
            memory=int(said.get("MemTotal") or 0),
            rootless=any("rootless" in str(option) for option in options),
            version=str(said.get("ServerVersion") or "?"),
            podman=podman,
        )

    async def containers(self, wanted: Mapping[str, str]) -> list[Listed]:
        """All containers with these labels, those that ended included."""
        filters = json.dumps({"label": [f"{name}={value}" for name, value in wanted.items()]})
        with self._asking() as docker:
            found = await docker.containers.list(all=True, filters=filters)
        return [_listed({name: each[name] for name in _LISTED if name in each}) for each in found]

    async def state(self, name: str) -> State | None:
        """None where there is no such container."""
        try:
            with self._asking() as docker:
                found = await docker.containers.container(name).show()
        except Refused as error:
            if error.is_unknown:
                return None
            raise
        said = found["State"]
        networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
        return State(
            running=bool(said.get("Running")),
            state=str(said.get("Status") or ""),
            exit_code=int(said.get("ExitCode") or 0),
            out_of_memory=bool(said.get("OOMKilled")),
            trouble=str(said.get("Error") or ""),
            stop_signal=str((found.get("Config") or {}).get("StopSignal") or "SIGTERM"),
            ip=next((str(each["IPAddress"]) for each in networks.values() if each.get("IPAddress")), None),
        )

    async def image(self, reference: str) -> Image | None:
        """None where the engine does not have it."""
        try:
            with self._asking() as docker:
                found = await docker.images.inspect(reference)
        except Refused as error:
            if error.is_unknown:
                return None
            raise
        exposed = (found.get("Config") or {}).get("ExposedPorts") or {}
        ports = [text.partition("/") for text in exposed]
        return Image(tuple(int(port) for port, _, kind in ports if kind in ("", "tcp") and port.isdecimal()))

    async def logs(self, name: str, lines: int) -> list[str]:
        # Podman, asked for the last lines, leaves out parts of those that were written in pieces.
        tail = "all" if await self._is_podman() else str(lines)
        try:
            with self._asking() as docker:
                pieces = await docker.containers.container(name).log(stdout=True, stderr=True, tail=tail)
        except Refused as error:
            if error.is_unknown:
                return []
            raise
        return "".join(pieces).splitlines()[-lines:] if lines > 0 else []

    async def _is_podman(self) -> bool:
        if self._podman is None:
            with self._asking() as docker:
                said = await docker.version()
            self._podman = any("podman" in str(each.get("Name")).lower() for each in said.get("Components") or [])
        return self._podman

    # What to do

    async def pull(self, reference: str, login: RegistryLogin | None) -> AsyncIterator[Mapping[str, Any]]:
        """Pull an image; what the engine tells on the way."""
        auth = {"username": login.username, "password": login.password.get_secret_value()} if login else None
        with self._asking() as docker:
            async for line in docker.images.pull(reference, auth=auth, stream=True):
                yield line

    async def create(self, name: str, config: Mapping[str, Any]) -> bool:
        """Whether it was made; False where there is a container of that name already."""
        try:
            with self._asking() as docker:
                await docker.containers.create(config, name=name)
        except Refused as error:
            if error.is_taken:
                return False
            raise
        return True

    async def start(self, name: str) -> None:
        """Starting what runs already is success."""
        with self._asking() as docker:
            await docker.containers.container(name).start()

    async def signal(self, name: str, signal: str) -> None:
        """Nothing happens where it does not run any more."""
        with self._asking() as docker, _gone_is_fine():
            await docker.containers.container(name).kill(signal=signal)

    async def ended(self, name: str, seconds: float) -> bool:
        """Whether it ended within ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                with self._asking() as docker, _gone_is_fine():
                    await docker.containers.container(name).wait()
        except TimeoutError:
            return False
        return True

    async def remove(self, name: str) -> None:
        """Kill it if it runs, and forget it; removing what is gone, or being removed, is success."""
        with self._asking() as docker, _gone_is_fine():
            await docker.containers.container(name).delete(force=True, v=True)


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    """For what is done to a container that may have ended, or be gone, in the meantime."""
    try:
        yield
    except DockerError as error:
        # Podman tells the second by 500.
        if error.status not in (404, 409) and "container state improper" not in str(error.message):
            raise


def _listed(found: Mapping[str, Any]) -> Listed:
    ports: Sequence[Mapping[str, Any]] = found.get("Ports") or []
    return Listed(
        id=str(found["Id"]),
        labels=found.get("Labels") or {},
        state=str(found.get("State") or ""),
        created_at=datetime.fromtimestamp(int(found.get("Created") or 0), UTC),
        published={int(port["PrivatePort"]): int(port["PublicPort"]) for port in ports if port.get("PublicPort")},
    )


def _cause(error: DockerError) -> str:
    """The system's own word on why there is no connection."""
    inner = error.__context__
    with suppress(AttributeError):
        return str(inner.os_error.strerror or inner)  # type: ignore[union-attr]
    return str(inner or error.message)
