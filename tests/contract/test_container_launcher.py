"""The container launcher keeps the launchers' contract on a real engine, and what is its own."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import pytest
from container_engine import TestEngine, engine, none_left, python_image, worker_image
from container_images import PYTHON, WORKER, python_base
from container_registry import IMAGE, PASSWORD, TAG, USER, Registry
from launcher_suite import SECONDS, LauncherSuite, answer, observed, pid_of, until

from modelyard.domain.deployments import Observation, Phase, Resources, WorkerSpec
from modelyard.domain.templates import BUILT_IN_REGISTRY
from modelyard.errors import ConfigurationError, LaunchError, Unavailable
from modelyard.launchers.by_registry import ByRegistry
from modelyard.launchers.container import ContainerLauncher
from modelyard.launchers.local import LocalLauncher
from modelyard.settings import ContainersSettings, Settings
from modelyard.testing.workers import fake_spec

__all__ = ["engine", "none_left", "python_image", "worker_image"]

Make = Callable[..., ContainerLauncher]
MIB = 1024**2
COMMAND = (PYTHON, WORKER)


def container_spec(*, command: tuple[str, ...] | None = None, cpus: int | None = None, **env: str) -> WorkerSpec:
    made = fake_spec(command=COMMAND if command is None else command, cpus=cpus, **env)
    return replace(made, registry="localhost", image="modelyard-test-python", tag="1")


@pytest.fixture
async def make_launcher(engine: TestEngine, python_image: str, tmp_path: Path) -> AsyncIterator[Make]:
    made = []

    def make(directory: str = "", **settings: object) -> ContainerLauncher:
        containers = ContainersSettings.model_validate({"engine": engine.address, **settings})
        made.append(ContainerLauncher(tmp_path / directory, Settings(data_dir=tmp_path, containers=containers)))
        return made[-1]

    yield make
    for each in made:
        await each.aclose()


@pytest.fixture
async def launcher(make_launcher: Make, none_left: None) -> AsyncIterator[ContainerLauncher]:
    made = make_launcher()
    yield made
    last = make_launcher()
    for deployment_id in await last.deployments():
        for seen in await last.observe(deployment_id):
            await last.stop(seen.worker_id, 0)


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


# Images


@pytest.fixture
def registry(engine: TestEngine) -> Iterator[Registry]:
    made = Registry(engine.registry_port, python_base())
    yield made
    made.close()


@pytest.fixture
def pulled(engine: TestEngine) -> Iterator[WorkerSpec]:
    """A worker whose image has to be pulled."""
    where = f"127.0.0.1:{engine.registry_port}"
    engine.remove_image(f"{where}/{IMAGE}:{TAG}")
    yield replace(container_spec(), registry=where, image=IMAGE, tag=TAG)
    engine.remove_image(f"{where}/{IMAGE}:{TAG}")


def login(spec: WorkerSpec, password: str = PASSWORD) -> dict[str, object]:
    return {"registries": {spec.registry: {"username": USER, "password": password}}}


async def ended(launcher: ContainerLauncher, spec: WorkerSpec) -> str:
    """Why it ended; then it is stopped."""
    detail = (await until(launcher, spec, Phase.EXITED)).detail or ""
    assert await launcher.logs(spec.worker_id) == []
    await launcher.stop(spec.worker_id, 1)
    assert await launcher.observe(spec.deployment_id) == []
    assert await launcher.deployments() == []
    return detail


async def test_an_absent_image_is_pulled_once_with_credentials_and_its_progress_is_told(
    make_launcher: Make, launcher: ContainerLauncher, registry: Registry, pulled: WorkerSpec
) -> None:
    registry.slow = True
    mine = make_launcher(**login(pulled))
    sibling = replace(pulled, worker_id=str(uuid4()))
    await mine.start(pulled)
    await mine.start(sibling)
    seen: list[Observation] = []
    async with asyncio.timeout(SECONDS * 2):
        while not seen or seen[-1].phase is Phase.PULLING:
            if (one := await observed(mine, pulled)) is not None:
                seen.append(one)
            await asyncio.sleep(0.02)
    assert seen[0].phase is Phase.PULLING
    assert f"pulling {pulled.registry}/{IMAGE}:{TAG}" in (seen[0].detail or "")
    for each in (pulled, sibling):
        assert (await answer((await until(mine, each, Phase.LOADING)).address))["pid"] == 1
    assert registry.pulls == 1
    third = replace(pulled, worker_id=str(uuid4()))
    await mine.start(third)
    assert (await observed(mine, third)) is not None
    assert registry.pulls == 1


async def test_without_the_right_credentials_the_registry_is_named(
    make_launcher: Make, launcher: ContainerLauncher, registry: Registry, pulled: WorkerSpec
) -> None:
    mine = make_launcher(**login(pulled, "wrong"))
    await mine.start(pulled)
    detail = await ended(mine, pulled)
    assert f"The registry {pulled.registry} does not give out the image" in detail
    assert "MODELYARD_CONTAINERS__REGISTRIES" in detail
    assert "wrong" not in detail


async def test_an_image_that_does_not_exist_is_named(
    make_launcher: Make, launcher: ContainerLauncher, registry: Registry, pulled: WorkerSpec
) -> None:
    mine = make_launcher(**login(pulled))
    spec = replace(pulled, tag="8")
    await mine.start(spec)
    detail = await ended(mine, spec)
    assert f"There is no image {spec.registry}/{IMAGE}:8" in detail
    assert "bundle_config" in detail


async def test_a_registry_that_cannot_be_reached_is_named(launcher: ContainerLauncher, pulled: WorkerSpec) -> None:
    await launcher.start(pulled)  # nobody listens there
    assert f"The registry {pulled.registry} could not be reached" in await ended(launcher, pulled)


async def test_stopping_a_worker_gives_up_its_pull(
    make_launcher: Make, launcher: ContainerLauncher, registry: Registry, pulled: WorkerSpec, engine: TestEngine
) -> None:
    registry.slow = True
    mine = make_launcher(**login(pulled))
    await mine.start(pulled)
    await until(mine, pulled, Phase.PULLING)
    await mine.stop(pulled.worker_id, 1)
    assert await mine.observe(pulled.deployment_id) == []
    assert engine.containers() == []


# Ends


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("raise SystemExit(3)", "exit code 3; it wrote nothing"),
        ("def load():\n  raise ValueError('not a model')\nload()", "exit code 1: ValueError: not a model"),
        ("import os; os._exit(127)", "exit code 127 (the command was not found); it wrote nothing"),
    ],
)
async def test_ends_are_told_in_words(launcher: ContainerLauncher, script: str, words: str) -> None:
    spec = container_spec(command=(PYTHON, "-c", script))
    await launcher.start(spec)
    assert (await until(launcher, spec, Phase.EXITED)).detail == words


async def test_out_of_memory_is_named_as_such(launcher: ContainerLauncher) -> None:
    script = "held = [bytearray(b'x' * 1024**2) for _ in range(400)]"
    spec = replace(container_spec(command=(PYTHON, "-c", script)), resources=Resources(memory=64 * MIB))
    await launcher.start(spec)
    detail = (await until(launcher, spec, Phase.EXITED)).detail or ""
    assert re.match(r"out of memory.*, and its limit is 64 MiB; raise memory in .*endpoint_config", detail)


@pytest.mark.parametrize(
    ("command", "words"), [(("/no/such/file",), "'/no/such/file' was not found"), ((WORKER,), "is not executable")]
)
async def test_commands_that_cannot_run_are_named(
    launcher: ContainerLauncher, command: tuple[str, ...], words: str
) -> None:
    spec = container_spec(command=command)
    with pytest.raises(LaunchError, match=words):
        await launcher.start(spec)
    assert await launcher.observe(spec.deployment_id) == []


@pytest.mark.parametrize("mount", ["/no/such/directory:/models:ro", "here:/models", "/tmp"])
def test_a_mount_that_cannot_be_is_named_when_the_server_starts(make_launcher: Make, mount: str) -> None:
    with pytest.raises(ConfigurationError, match=f"MODELYARD_CONTAINERS__MOUNTS has '{mount}'"):
        make_launcher(mounts=[mount])


async def test_mounted_directories_are_seen(make_launcher: Make, launcher: ContainerLauncher, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "weights").write_text("heavy")
    mine = make_launcher(mounts=[f"{tmp_path}/models:/models:ro"])
    spec = container_spec(command=(PYTHON, "-c", "import sys; sys.exit(open('/models/weights').read())"))
    await mine.start(spec)
    assert (await until(mine, spec, Phase.EXITED)).detail == "exit code 1: heavy"


# What a container is given


async def environment_of(launcher: ContainerLauncher, spec: WorkerSpec) -> dict[str, str]:
    async with asyncio.timeout(SECONDS):
        while not (lines := await launcher.logs(spec.worker_id)):
            await asyncio.sleep(0.05)
    return dict(line.split("=", 1) for line in lines)


async def test_parameters_address_and_threads_are_in_the_environment_but_no_secret(
    launcher: ContainerLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELYARD_BOOTSTRAP_API_KEY", "secret")
    monkeypatch.setenv("HF_TOKEN", "secret")
    script = "import os, time\nfor name, value in os.environ.items(): print(f'{name}={value}')\ntime.sleep(60)"
    spec = container_spec(command=(PYTHON, "-c", script), cpus=2, context_length="2048")
    await launcher.start(spec)
    env = await environment_of(launcher, spec)
    assert (env["context_length"], env["OMP_NUM_THREADS"], env["HOST"], env["PORT"]) == ("2048", "2", "0.0.0.0", "8080")
    assert "secret" not in env.values()


async def test_a_port_that_the_image_exposes_is_the_workers(launcher: ContainerLauncher, engine: TestEngine) -> None:
    engine.derive_image("localhost/modelyard-test-exposed:1", ["EXPOSE 5005"])
    spec = replace(container_spec(), image="modelyard-test-exposed")
    await launcher.start(spec)
    assert (await answer((await until(launcher, spec, Phase.LOADING)).address))["pid"] == 1
    published = httpx.URL((await observed(launcher, spec)).address or "").port  # type: ignore[union-attr]
    assert f"5005/tcp->{published}" in str(engine.ports())


async def test_an_image_runs_its_own_command_where_the_template_has_none(
    launcher: ContainerLauncher, engine: TestEngine
) -> None:
    engine.derive_image("localhost/modelyard-test-own:1", [f'CMD ["{PYTHON}", "{WORKER}"]'])
    spec = replace(container_spec(command=()), image="modelyard-test-own")
    await launcher.start(spec)
    assert (await answer((await until(launcher, spec, Phase.LOADING)).address))["pid"] == 1


async def test_a_command_takes_the_place_of_entry_point_and_arguments(
    launcher: ContainerLauncher, engine: TestEngine
) -> None:
    changes = ['ENTRYPOINT ["/no/such/entry"]', 'CMD ["more"]']
    engine.derive_image("localhost/modelyard-test-entry:1", changes)
    script = "import sys; sys.exit(' '.join(sys.argv[1:]))"
    spec = container_spec(command=(PYTHON, "-c", script, "--at=${HOST}:${PORT}", "$$HOME"))
    await launcher.start(replace(spec, image="modelyard-test-entry"))
    assert (await until(launcher, spec, Phase.EXITED)).detail == "exit code 1: --at=0.0.0.0:8080 $HOME"


async def test_an_init_makes_programs_that_do_not_heed_sigterm_stop_at_once(
    make_launcher: Make, launcher: ContainerLauncher
) -> None:
    mine = make_launcher(init=True)
    spec = container_spec(command=(PYTHON, "-c", "import time; print('up'); time.sleep(600)"))
    await mine.start(spec)
    async with asyncio.timeout(SECONDS):
        while await mine.logs(spec.worker_id) != ["up"]:
            await asyncio.sleep(0.05)
    async with asyncio.timeout(SECONDS):
        await mine.stop(spec.worker_id, 300)


# Networks: addresses that are not loopback


async def test_a_worker_on_a_network_is_called_at_its_own_address(
    make_launcher: Make, launcher: ContainerLauncher, engine: TestEngine
) -> None:
    mine = make_launcher(network=engine.network())
    spec = container_spec()
    await mine.start(spec)
    address = (await until(mine, spec, Phase.LOADING)).address
    assert httpx.URL(address or "").port == 8080
    assert not (address or "").startswith("http://127.")
    assert (await answer(address))["pid"] == 1


async def test_on_the_hosts_network_every_worker_has_a_port_of_its_own(
    make_launcher: Make, launcher: ContainerLauncher
) -> None:
    mine = make_launcher(network="host")
    one, other = container_spec(), container_spec()
    await mine.start(one)
    await mine.start(other)
    addresses = [(await until(mine, each, Phase.LOADING)).address for each in (one, other)]
    assert len(set(addresses)) == 2
    for address in addresses:
        assert (address or "").startswith("http://127.0.0.1:")
        assert (await answer(address))["pid"] == 1


# Whose workers they are


async def test_servers_with_other_data_directories_do_not_see_each_others_workers(
    make_launcher: Make, launcher: ContainerLauncher
) -> None:
    other = make_launcher("other")
    spec = container_spec(cpus=2)
    await launcher.start(spec)
    assert await other.deployments() == []
    assert await other.observe(spec.deployment_id) == []
    assert (await other.capacity()).reserved.cpus == 0
    assert len(await launcher.observe(spec.deployment_id)) == 1


async def test_a_container_whose_maker_died_before_it_started_is_started(
    make_launcher: Make, launcher: ContainerLauncher
) -> None:
    spec = container_spec()
    await launcher.start(spec)
    await pid_of(launcher, spec)
    await launcher.stop(spec.worker_id, 5, forget=False)
    dead = make_launcher()
    dead._engine.start = _never  # type: ignore[method-assign]
    await launcher.stop(spec.worker_id, 0)
    dying = asyncio.create_task(dead.start(spec))
    async with asyncio.timeout(SECONDS):
        while not await launcher._engine.state(f"modelyard-{spec.worker_id}"):
            await asyncio.sleep(0.02)
    assert await observed(launcher, spec) is None
    await launcher.start(spec)
    assert (await answer((await until(launcher, spec, Phase.LOADING)).address))["pid"] == 1
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)


async def _never(name: str) -> None:
    await asyncio.sleep(600)


async def test_reservations_outlive_their_server(make_launcher: Make, launcher: ContainerLauncher) -> None:
    spec = replace(container_spec(), resources=Resources(cpus=1, memory=300 * MIB))
    await launcher.start(spec)
    later = make_launcher()
    reserved = (await later.capacity()).reserved
    assert (reserved.cpus, reserved.memory) == (1, 300 * MIB)
    total = (await later.capacity()).total.memory or 0
    with pytest.raises(LaunchError, match="300 MiB of"):
        await later.start(replace(container_spec(), resources=Resources(memory=total)))


# Workers of modelyard's own


async def test_a_built_in_engine_runs_in_its_image_and_tells_how_far_it_is(
    make_launcher: Make, launcher: ContainerLauncher, worker_image: str
) -> None:
    mine = make_launcher(worker_image=worker_image)
    spec = built_in(fake_load_seconds="2")
    await mine.start(spec)
    seen = [await until(mine, spec, Phase.LOADING)]
    async with asyncio.timeout(SECONDS):
        while not seen[-1].detail:
            seen.append(await until(mine, spec, Phase.LOADING))
            await asyncio.sleep(0.02)
    assert seen[-1].detail == "starting fake"
    status = Path(mine._homes._root) / spec.worker_id / "status.json"
    assert status.stat().st_uid == os.getuid()
    async with httpx.AsyncClient() as client:
        await answer_ready(client, seen[-1].address)
        body = {"texts": ["hello"]}
        vectors = (await client.post(f"{seen[-1].address}/predict", json=body)).json()["embeddings"]
    assert vectors[0][0] == "hello"
    await mine.stop(spec.worker_id, 10)
    assert not status.exists()


async def test_a_built_in_engines_own_last_words_come_first(
    make_launcher: Make, launcher: ContainerLauncher, worker_image: str
) -> None:
    mine = make_launcher(worker_image=worker_image)
    spec = built_in(fake_fail="load")
    await mine.start(spec)
    one = await until(mine, spec, Phase.EXITED)
    assert one.detail == "The fake engine was told to fail while loading. Unset fake_fail."
    assert one.exit_code == 1


def built_in(**parameters: str) -> WorkerSpec:
    env = {"MODELYARD_ENGINE": "fake", "MODELYARD_MODEL_TYPE": "EMBEDDING", "MODELYARD_PROTOCOL": "SGP", **parameters}
    return replace(container_spec(command=(), **env), registry=BUILT_IN_REGISTRY, image="fake")


async def answer_ready(client: httpx.AsyncClient, address: str | None) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                if (await client.get(f"{address}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


# Beside processes


async def test_a_bundles_registry_says_where_it_runs(
    make_launcher: Make, launcher: ContainerLauncher, tmp_path: Path
) -> None:
    both = ByRegistry(LocalLauncher(tmp_path, Settings(data_dir=tmp_path)), launcher, built_in_as_containers=False)
    process, container = fake_spec(SAY="a process"), container_spec(SAY="a container")
    await both.start(process)
    await both.start(container)
    assert await pid_of(both, process) != 1
    assert await pid_of(both, container) == 1
    assert set(await both.deployments()) == {process.deployment_id, container.deployment_id}
    assert await both.logs(process.worker_id) == ["a process"]
    assert await both.logs(container.worker_id) == ["a container"]
    for spec in (process, container):
        await both.stop(spec.worker_id, 5)
    assert await both.deployments() == []


async def test_without_an_engine_processes_go_on_and_containers_say_why(tmp_path: Path) -> None:
    nowhere = ContainersSettings(engine=f"unix://{tmp_path}/no.sock")
    containers = ContainerLauncher(tmp_path, Settings(containers=nowhere))
    both = ByRegistry(LocalLauncher(tmp_path, Settings(data_dir=tmp_path)), containers, built_in_as_containers=False)
    process, container = fake_spec(), container_spec()
    await both.start(process)
    assert (await pid_of(both, process)) > 1
    with pytest.raises(LaunchError, match=r"no\.sock cannot be reached: No such file.*MODELYARD_CONTAINERS__ENGINE"):
        await both.start(container)
    assert await both.deployments() == [process.deployment_id]
    assert (await both.capacity()).total.cpus
    with pytest.raises(Unavailable):
        await both.observe(container.deployment_id)  # nobody knows
    await both.stop(process.worker_id, 1)
    await both.aclose()
