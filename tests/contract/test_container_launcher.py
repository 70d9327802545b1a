"""The container launcher keeps the launchers' contract on a real engine, and what is its own."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from container_engine import TestEngine, engine, none_left, python_image
from container_images import PYTHON, WORKER
from launcher_suite import LauncherSuite

from modelyard.domain.deployments import WorkerSpec
from modelyard.launchers.container import ContainerLauncher
from modelyard.settings import ContainersSettings, Settings
from modelyard.testing.workers import fake_spec

__all__ = ["engine", "none_left", "python_image"]

COMMAND = (PYTHON, WORKER)


def container_spec(*, command: tuple[str, ...] | None = None, cpus: int | None = None, **env: str) -> WorkerSpec:
    made = fake_spec(command=COMMAND if command is None else command, cpus=cpus, **env)
    return replace(made, registry="localhost", image="modelyard-test-python", tag="1")


@pytest.fixture
def make_launcher(engine: TestEngine, python_image: str, tmp_path: Path) -> Callable[..., ContainerLauncher]:
    def make(**settings: object) -> ContainerLauncher:
        containers = ContainersSettings.model_validate({"engine": engine.address, **settings})
        return ContainerLauncher(tmp_path, Settings(data_dir=tmp_path, containers=containers))

    return make


@pytest.fixture
async def launcher(make_launcher: Callable[[], ContainerLauncher], none_left: None) -> AsyncIterator[ContainerLauncher]:
    made = make_launcher()
    yield made
    last = make_launcher()
    for deployment_id in await last.deployments():
        for seen in await last.observe(deployment_id):
            await last.stop(seen.worker_id, 0)
    await last.aclose()
    await made.aclose()


class TestContainerLauncher(LauncherSuite):
    """All of the suite."""

    def spec(self, *, command: tuple[str, ...] | None = None, cpus: int | None = None, **env: str) -> WorkerSpec:
        return container_spec(command=command, cpus=cpus, **env)

    def process_id(self, spec: WorkerSpec, inside: int) -> int:
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("MODELYARD_WORKER_ID") == spec.worker_id
                numbers = Path(f"/proc/{process.pid}/status").read_text().split("NSpid:")[1].split("\n")[0].split()
            except (psutil.Error, OSError):
                continue
            if ours and int(numbers[-1]) == inside:
                return process.pid
        raise AssertionError(f"the worker has no process {inside}")
