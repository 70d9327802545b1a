"""Servers as fixtures: real processes; one is shared by all tests that only call it."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_process import MODELYARD, Server, Start, environment, listening_url


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """One weights cache for all test runs of this checkout."""
    default = Path(__file__).parents[2] / ".cache" / "weights"
    directory = Path(os.environ.get("MODELYARD_TEST_WEIGHTS_DIR", default))
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@contextlib.contextmanager
def starting(weights_dir: Path) -> Iterator[Start]:
    """Servers as they are asked for; told to stop at the end, so that whatever they leave behind is a leak."""
    started: list[Server] = []

    def start(data_dir: Path, **settings: str) -> Server:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not (data_dir / "weights").exists():
            (data_dir / "weights").symlink_to(weights_dir)
        log = data_dir / "server.log"
        with log.open("ab") as out:
            offset = out.tell()
            process = subprocess.Popen([MODELYARD, "serve"], env=environment(data_dir, **settings), stderr=out)
        server = Server(process, data_dir, "", log)
        started.append(server)
        server.url = listening_url(process, log, offset)
        return server

    try:
        yield start
    finally:
        for server in started:
            _end(server)


def _end(server: Server) -> None:
    try:
        if server.process.poll() is None:
            server.stop()
    except subprocess.TimeoutExpired:
        server.process.kill()
        server.process.wait()
    for process in server.processes():
        process.kill()


@pytest.fixture
def start_server(weights_dir: Path) -> Iterator[Start]:
    with starting(weights_dir) as start:
        yield start


@pytest.fixture(scope="session")
def server(weights_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that only call it."""
    with starting(weights_dir) as start:
        yield start(tmp_path_factory.mktemp("server") / "data")
