"""Servers as fixtures: real processes; one is shared by all tests that only call it."""

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


@pytest.fixture(scope="session")
def start_server(weights_dir: Path) -> Iterator[Start]:
    started: list[Server] = []

    def start(data_dir: Path, **settings: str) -> Server:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not (data_dir / "weights").exists():
            (data_dir / "weights").symlink_to(weights_dir)
        log = data_dir / "server.log"
        with log.open("ab") as out:
            offset = out.tell()
            process = subprocess.Popen([MODELYARD, "serve"], env=environment(data_dir, **settings), stderr=out)
        server = Server(process, data_dir, listening_url(process, log, offset), log)
        started.append(server)
        return server

    yield start
    for server in started:
        for process in server.processes():
            process.kill()
        server.process.wait()
        for worker in server.workers():
            worker.kill()


@pytest.fixture(scope="session")
def server(start_server: Start, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """One server for all tests that only call it."""
    return start_server(tmp_path_factory.mktemp("server") / "data")
