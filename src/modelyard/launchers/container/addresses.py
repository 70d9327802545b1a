"""Where the container engine is asked, and where its containers' ports are reached."""

from collections.abc import Mapping
from pathlib import Path

from modelyard.errors import ConfigurationError

UNIX = "unix://"
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what to call where somebody listens on all of them


def usual_sockets(environ: Mapping[str, str]) -> list[Path]:
    """Docker's and Podman's sockets, those of the system before the user's own."""
    home, runtime = Path(environ.get("HOME", "/root")), environ.get("XDG_RUNTIME_DIR")
    mine = [Path(runtime) / "docker.sock", Path(runtime) / "podman" / "podman.sock"] if runtime else []
    return [
        Path("/var/run/docker.sock"),
        Path("/run/podman/podman.sock"),
        *mine,
        home / ".docker" / "run" / "docker.sock",
        home / ".docker" / "desktop" / "docker.sock",
    ]


def engine_address(setting: str | None, environ: Mapping[str, str]) -> str:
    """The engine's address, as in unix:///var/run/docker.sock. Raises `ConfigurationError` where there is none."""
    address = setting or environ.get("DOCKER_HOST")
    if address:
        return f"{UNIX}{address}" if address.startswith("/") else address
    sockets = usual_sockets(environ)
    for path in sockets:
        if path.is_socket():
            return f"{UNIX}{path}"
    raise ConfigurationError(
        "The launcher 'container' needs a container engine, and none was found: "
        f"there is no socket at {', '.join(map(str, sockets))}.",
        hint="Start Docker, or Podman's service (systemctl enable --now podman.socket), or say where it is by "
        "MODELYARD_CONTAINERS__ENGINE or DOCKER_HOST.",
    )


def is_here(address: str) -> bool:
    """Whether the engine is on this machine, so that its containers can see this machine's directories."""
    return address.startswith(UNIX)


def base_url(host: str, port: int) -> str:
    host = _ANY.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
