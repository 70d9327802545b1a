"""A real container engine for tests: the one that MODELYARD_TEST_CONTAINER_ENGINE names, else a Podman of their own.

Podman keeps everything in a temporary directory and is told what it needs by a file of its own: nothing of the user's
engine, images or settings is touched. Where there is neither, tests that need one are skipped and say so; with
MODELYARD_TEST_REQUIRE_CONTAINERS set they fail instead.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import httpx
import pytest
from container_images import PACKAGES, PYTHON, python_base, worker_base

ADDRESS = "MODELYARD_TEST_CONTAINER_ENGINE"
REQUIRED = "MODELYARD_TEST_REQUIRE_CONTAINERS"
_CONF = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
{runtime}
"""
PYTHON_IMAGE = "localhost/modelyard-test-python:1"
_START_SECONDS = 30.0
_PIECE = 1024**2


class TestEngine:
    """What tests do with an engine besides what the launcher does."""

    __test__ = False

    def __init__(self, address: str, registry_port: int) -> None:
        self.address = address
        self.registry_port = registry_port
        """Where a registry without TLS is believed."""

    def import_image(self, name: str, layer: bytes, changes: Sequence[str] = ()) -> str:
        """Make a file system an image; its name."""
        query = [("fromSrc", "-"), ("repo", name), *(("changes", each) for each in changes)]
        with self.client() as api:
            # In pieces: a whole one would be copied for each part of it that is sent.
            pieces = (layer[at : at + _PIECE] for at in range(0, len(layer), _PIECE))
            answer = api.post("/images/create", params=query, content=pieces)
        assert answer.status_code == 200, answer.text
        return name

    def derive_image(self, name: str, changes: Sequence[str]) -> str:
        """Make `PYTHON_IMAGE` with other defaults an image; its name."""
        repo, _, tag = name.rpartition(":")
        with self.client() as api:
            made = api.post("/containers/create", json={"Image": PYTHON_IMAGE, "Cmd": ["/none"]}).raise_for_status()
            query = [("container", made.json()["Id"]), ("repo", repo), ("tag", tag)]
            answer = api.post("/commit", params=[*query, *(("changes", each) for each in changes)], json={})
        self.remove(made.json()["Id"])
        assert answer.is_success, answer.text
        return name

    def containers(self) -> list[str]:
        """Every container that carries a label of ours."""
        with self.client() as api:
            query = {"all": "true", "filters": '{"label": ["modelyard.worker"]}'}
            found = api.get("/containers/json", params=query).raise_for_status().json()
        return [each["Names"][0].lstrip("/") for each in found]

    def ports(self) -> list[str]:
        """As in 5005/tcp->41235, of running containers."""
        with self.client() as api:
            found = api.get("/containers/json").raise_for_status().json()
        return [f"{p['PrivatePort']}/{p['Type']}->{p['PublicPort']}" for each in found for p in each["Ports"] or []]

    def network(self) -> str:
        """The engine's own network of containers: Docker calls it bridge, Podman podman."""
        with self.client() as api:
            names = {each["Name"] for each in api.get("/networks").raise_for_status().json()}
        return "bridge" if "bridge" in names else "podman"

    def remove_image(self, name: str) -> None:
        with self.client() as api:
            api.delete(f"/images/{name}", params={"force": "true"})

    def remove(self, name: str) -> None:
        with self.client() as api:
            api.delete(f"/containers/{name}", params={"force": "true", "v": "true"})

    def client(self) -> httpx.Client:
        """Of the engine's own API."""
        transport = httpx.HTTPTransport(uds=self.address.removeprefix("unix://"))
        return httpx.Client(transport=transport, base_url="http://engine", timeout=120)


def _cannot() -> str | None:
    """Why there can be no Podman here."""
    if shutil.which("podman") is None:
        return "podman is not installed (apt-get install podman runc iptables)"
    if os.geteuid() != 0:
        return f"a Podman of the tests' own needs root; name an engine by {ADDRESS}"
    return None


@pytest.fixture(scope="session")
def engine() -> Iterator[TestEngine]:
    """A real engine with the image `PYTHON_IMAGE` in it."""
    if address := os.environ.get(ADDRESS):
        given = TestEngine(address, _free_port())  # Docker believes every registry on loopback
        given.import_image(PYTHON_IMAGE, python_base())
        yield given
        return
    if (why := _cannot()) is not None:
        _untested(why)
    directory = Path(tempfile.mkdtemp(prefix="modelyard-podman-"))
    try:
        with _podman(directory) as started:
            if (why := _trial(started)) is not None:
                _untested(f"Podman cannot run them here: {why}")
            yield started
    finally:
        _remove(directory)


def _untested(why: str) -> NoReturn:
    words = f"NO CONTAINER ENGINE, SO CONTAINERS ARE NOT TESTED: {why}"
    if os.environ.get(REQUIRED):
        pytest.fail(words)
    pytest.skip(words)


def _trial(engine: TestEngine) -> str | None:
    """Why a container cannot run, on a machine that may itself be one with few rights."""
    try:
        engine.import_image(PYTHON_IMAGE, python_base())
    except (AssertionError, httpx.HTTPError) as error:
        return str(error)
    config = {
        "Image": PYTHON_IMAGE,
        "Entrypoint": [PYTHON, "-c", "pass"],
        "ExposedPorts": {"8080/tcp": {}},
        "HostConfig": {
            "PortBindings": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "Memory": 64 * 1024**2,
            "NanoCpus": 10**9,
        },
    }
    with engine.client() as api:
        made = api.post("/containers/create", params={"name": "trial"}, json=config)
        started = api.post("/containers/trial/start") if made.is_success else made
        ended = api.post("/containers/trial/wait") if started.is_success else started
        engine.remove("trial")
    return None if ended.is_success and ended.json()["StatusCode"] == 0 else ended.text


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def _podman(directory: Path) -> Iterator[TestEngine]:
    conf, path, port = directory / "containers.conf", directory / "podman.sock", _free_port()
    conf.write_text(_CONF.format(runtime='runtime = "runc"' if shutil.which("runc") else ""))
    registries = directory / "registries.conf"
    registries.write_text(f'[[registry]]\nlocation = "127.0.0.1:{port}"\ninsecure = true\n')
    env = {**os.environ, "CONTAINERS_CONF": str(conf), "CONTAINERS_REGISTRIES_CONF": str(registries)}
    podman = ["podman", "--root", str(directory / "root"), "--runroot", str(directory / "run")]
    with (directory / "service.log").open("wb") as log:
        service = subprocess.Popen(
            [*podman, "system", "service", "--time=0", f"unix://{path}"], env=env, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not path.exists():
            if service.poll() is not None or time.monotonic() > deadline:
                _untested(f"Podman does not start: {(directory / 'service.log').read_text()}")
            time.sleep(0.05)
        yield TestEngine(f"unix://{path}", port)
    finally:
        subprocess.run([*podman, "rm", "--force", "--all", "--time", "0"], env=env, capture_output=True, timeout=60)
        service.terminate()
        with suppress(subprocess.TimeoutExpired):
            service.wait(10)
        service.kill()


def _remove(directory: Path) -> None:
    """Podman mounts its storage on itself, and its last processes, which clean up after containers, do so once more."""
    overlay = str(directory / "root" / "overlay")
    deadline = time.monotonic() + _START_SECONDS
    while True:
        while subprocess.run(["umount", "--lazy", overlay], capture_output=True).returncode == 0:
            pass
        shutil.rmtree(directory, ignore_errors=True)
        if not directory.exists():
            return
        assert time.monotonic() < deadline, f"{directory} could not be removed"
        time.sleep(0.2)


@pytest.fixture(scope="session")
def python_image(engine: TestEngine) -> str:
    """The image of the test worker: registry, image and tag in one."""
    return PYTHON_IMAGE


@pytest.fixture(scope="session")
def worker_image(engine: TestEngine) -> str:
    """An image that runs built-in engines: the fake one."""
    entry = f'ENTRYPOINT ["{PYTHON}", "-m", "modelyard.worker"]'
    return engine.import_image(
        "localhost/modelyard-test-worker:1", worker_base(), [entry, f"ENV PYTHONPATH={PACKAGES}"]
    )


@pytest.fixture
def none_left(engine: TestEngine) -> Iterator[None]:
    """After the test no container of ours is there."""
    yield
    left = engine.containers()
    for name in left:
        engine.remove(name)
    assert not left
