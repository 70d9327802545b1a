"""What the container launcher decides without an engine."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from modelyard.domain.deployments import Phase, Resources, WorkerSpec
from modelyard.domain.templates import BUILT_IN_REGISTRY
from modelyard.errors import ConfigurationError, LaunchError
from modelyard.launchers.container import labels, looking
from modelyard.launchers.container.addresses import base_url, engine_address
from modelyard.launchers.container.configuration import Place, configuration, port_inside, reference, require_gpus
from modelyard.launchers.container.engine import Image, Info, State
from modelyard.launchers.container.faults import pull_error, start_error, unreachable
from modelyard.launchers.container.pulls import Progress
from modelyard.settings import ContainersSettings
from modelyard.testing.workers import fake_spec

PLACE = Place(installation="here", log_bytes=1000, port=8080)
INFO = Info(cpus=4, memory=2**34, rootless=False, version="28.0", podman=False)


def spec(**changes: object) -> WorkerSpec:
    return replace(fake_spec(command=()), registry="ghcr.io", image="me/model", tag="1", **changes)  # type: ignore[arg-type]


def asked(
    one: WorkerSpec, place: Place = PLACE, environ: dict[str, str] | None = None, **settings: object
) -> dict[str, object]:
    chosen = ContainersSettings.model_validate(settings)
    return configuration(one, chosen, INFO, place, MappingProxyType(environ or {}))


# GPUs, CPUs, memory


def test_gpus_are_asked_for_by_index_so_that_every_worker_has_its_own() -> None:
    one = spec(resources=Resources(gpus=2))
    place = replace(PLACE, gpu_ids=("1", "3"))
    assert asked(one, place)["HostConfig"]["DeviceRequests"] == [  # type: ignore[index]
        {"Driver": "nvidia", "DeviceIDs": ["1", "3"], "Capabilities": [["gpu"]]}
    ]
    assert asked(one, place, gpu_driver="cdi")["HostConfig"]["DeviceRequests"] == [  # type: ignore[index]
        {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=1", "nvidia.com/gpu=3"]}
    ]
    assert "DeviceRequests" not in asked(spec())["HostConfig"]  # type: ignore[operator]


def test_an_engine_that_would_silently_give_no_gpus_is_named() -> None:
    podman = replace(INFO, podman=True)
    with pytest.raises(LaunchError, match="Podman gives containers no GPUs"):
        require_gpus(Resources(gpus=1), podman)
    require_gpus(Resources(gpus=1), INFO)
    require_gpus(Resources(gpus=0), podman)


def test_cpus_and_memory_bound_a_container_but_never_beyond_what_the_engine_has() -> None:
    host = asked(spec(resources=Resources(cpus=3, memory=2**30)))["HostConfig"]
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (3 * 10**9, 2**30, 2**30)  # type: ignore[index]
    assert asked(spec(resources=Resources(cpus=64)))["HostConfig"]["NanoCpus"] == 4 * 10**9  # type: ignore[index]
    assert not {"NanoCpus", "Memory"} & asked(spec())["HostConfig"].keys()  # type: ignore[attr-defined]


def test_labels_are_read_back_as_they_were_written() -> None:
    one = spec(resources=Resources(cpus=2, memory=5, gpus=2))
    held = labels.Held(2, 5, 2, ("0", "1"))
    marks = labels.read(labels.labels("here", one, 5005, held))
    assert marks is not None
    assert (marks.worker_id, marks.deployment_id, marks.revision) == (one.worker_id, one.deployment_id, one.revision)
    assert (marks.port, marks.held, marks.registry) == (5005, held, "ghcr.io")
    assert labels.read({"modelyard.worker": "somebody's own"}) is None


# Images and what built-in engines are told


@pytest.mark.parametrize(
    ("registry", "tag", "name"),
    [
        ("docker.io", "3.13", "docker.io/me/model:3.13"),
        ("localhost:5000", "1", "localhost:5000/me/model:1"),
        ("ghcr.io", "sha256:ab", "ghcr.io/me/model@sha256:ab"),
    ],
)
def test_an_images_whole_name(registry: str, tag: str, name: str) -> None:
    assert reference(replace(spec(), registry=registry, tag=tag), ContainersSettings()) == name


def test_built_in_engines_have_the_image_that_the_setting_names() -> None:
    one = replace(spec(), registry=BUILT_IN_REGISTRY, image="llama-cpp")
    named = ContainersSettings(worker_image="localhost/{engine}:1")
    assert reference(one, named) == "localhost/llama-cpp:1"
    with pytest.raises(LaunchError, match="MODELYARD_CONTAINERS__WORKER_IMAGE"):
        reference(one, ContainersSettings())


def test_only_built_in_engines_get_what_fetching_weights_needs() -> None:
    environ = {"HF_TOKEN": "t", "HF_HOME": "/root/.cache", "https_proxy": "p", "DATABASE_PASSWORD": "secret"}
    built_in = replace(spec(), registry=BUILT_IN_REGISTRY, image="llama-cpp")
    place = replace(PLACE, weights_dir=Path("/data/weights"), status_dir=Path("/data/w"), user="7:7")
    config = asked(built_in, place, environ, worker_image="w:1")
    assert {"HF_TOKEN=t", "https_proxy=p", "HOME=/tmp"} <= set(config["Env"])  # type: ignore[arg-type]
    assert not [line for line in config["Env"] if "secret" in line or "HF_HOME" in line]  # type: ignore[attr-defined]
    assert "/data/weights:/var/lib/modelyard/weights:z" in config["HostConfig"]["Binds"]  # type: ignore[index]
    assert config["User"] == "7:7"
    strange = asked(spec(), PLACE, environ)
    assert not [line for line in strange["Env"] if line.startswith(("HF_", "https"))]  # type: ignore[attr-defined]
    assert strange["HostConfig"]["Binds"] == []  # type: ignore[index]
    assert "User" not in strange


def test_an_engine_elsewhere_keeps_weights_in_a_volume_of_its_own() -> None:
    built_in = replace(spec(), registry=BUILT_IN_REGISTRY, image="llama-cpp")
    config = asked(built_in, worker_image="w:1")
    assert config["HostConfig"]["Binds"] == ["modelyard-weights:/var/lib/modelyard/weights"]  # type: ignore[index]


@pytest.mark.parametrize(("exposed", "port"), [((), 8080), ((5005,), 5005), ((80, 443), 8080)])
def test_which_port_a_worker_listens_on(exposed: tuple[int, ...], port: int) -> None:
    assert port_inside(Image(exposed), ContainersSettings()) == port


def test_a_worker_s_port_is_published_on_loopback_and_nowhere_where_the_network_is_shared() -> None:
    published = asked(spec())["HostConfig"]["PortBindings"]  # type: ignore[index]
    assert published == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}
    on_host = asked(spec(), network="host")
    assert "HOST=127.0.0.1" in on_host["Env"]  # type: ignore[operator]
    assert "PortBindings" not in on_host["HostConfig"]  # type: ignore[operator]


# Where the engine is


def test_the_setting_wins_over_docker_host_and_paths_are_sockets() -> None:
    environ = {"DOCKER_HOST": "tcp://10.0.0.1:2375"}
    assert engine_address("/run/podman.sock", environ) == "unix:///run/podman.sock"
    assert engine_address(None, environ) == "tcp://10.0.0.1:2375"


def test_where_no_engine_is_found_it_is_said_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "is_socket", lambda self: False)
    with pytest.raises(ConfigurationError, match=r"/run/podman/podman\.sock.*MODELYARD_CONTAINERS__ENGINE"):
        engine_address(None, {"HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("192.168.7.3", "http://192.168.7.3:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("fd00::7", "http://[fd00::7]:80"),
    ],
)
def test_addresses(host: str, url: str) -> None:
    assert base_url(host, 80) == url


# Progress and words. Lines as Docker and Podman send them.


def test_progress_adds_up_layers() -> None:
    progress = Progress()
    assert str(progress) == ""
    for line in (
        {"status": "Pulling from team/model", "id": "7"},
        {"status": "Pulling fs layer", "progressDetail": {}, "id": "a"},
        {"status": "Downloading", "progressDetail": {"current": 2**20, "total": 3 * 2**20}, "id": "a"},
        {"status": "Downloading", "progressDetail": {"current": 2**20, "total": 2**20}, "id": "b"},
    ):
        progress.feed(line)
    assert str(progress) == "2 MiB of 4 MiB (50 %)"
    progress.feed({"status": "Download complete", "progressDetail": {}, "id": "a"})
    progress.feed({"status": "Extracting", "progressDetail": {"current": 1, "total": 9}, "id": "a"})
    assert str(progress) == "4 MiB of 4 MiB (100 %), unpacking"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("manifest for ghcr.io/me/model:1 not found: manifest unknown: manifest unknown", "There is no image"),
        ("reading manifest 1 in ghcr.io/me/model: manifest unknown", "There is no image"),
        ("pull access denied for me/model, repository does not exist or may require 'docker login'", "credentials"),
        ("unable to retrieve auth token: invalid username/password: unauthorized", "credentials"),
        ("write /var/lib/docker/tmp/x: no space left on device", "disk is full"),
        ("Get https://ghcr.io/v2/: dial tcp: lookup ghcr.io: no such host", "could not be reached"),
        ("something new", "could not be pulled: something new"),
    ],
)
def test_what_a_pull_may_fail_of(said: str, words: str) -> None:
    assert words in str(pull_error("ghcr.io/me/model:1", said))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('OCI runtime create failed: exec: "run": executable file not found in $PATH: unknown', "'run' was not found"),
        ("runc create failed: unable to start container process: exec: permission denied", "not executable"),
        ('could not select device driver "nvidia" with capabilities: [[gpu]]', "NVIDIA's container toolkit"),
        ("unresolvable CDI devices nvidia.com/gpu=0: CDI device injection failed", "NVIDIA's container toolkit"),
        ("mkdir /var/lib/docker/overlay2/x: no space left on device", "disk is full"),
        ('looking up container-init binary: exec: "catatonit": not found', "MODELYARD_CONTAINERS__INIT"),
        ("unable to find network with name or ID mine: network not found", "MODELYARD_CONTAINERS__NETWORK"),
        ("something new", "could not be started: something new"),
    ],
)
def test_what_a_start_may_fail_of(said: str, words: str) -> None:
    assert words in str(start_error("ghcr.io/me/model:1", ["run"], said))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Permission denied", "may not use it"),
        ("No such file or directory", "There is no such socket"),
        ("Connection refused", "Is it running?"),
    ],
)
def test_why_an_engine_is_not_reached(said: str, words: str) -> None:
    assert words in str(unreachable("unix:///run/docker.sock", said))


@pytest.mark.parametrize(
    ("code", "oom", "memory", "trouble", "lines", "words"),
    [
        (137, True, None, "", [], "out of memory: the kernel ended it, and it had no limit of its own"),
        (137, True, 2**30, "", ["x"], "out of memory: the kernel ended it, and its limit is 1 GiB"),
        (137, False, 2**30, "", ["x"], "out of memory, most likely: it was killed, and its limit is 1 GiB"),
        (137, False, None, "", ["x"], "killed by SIGKILL (out of memory?): x"),
        (126, False, None, "", [], "exit code 126 (the command is not executable); it wrote nothing"),
        (0, False, None, "", ["done"], "ended by itself with exit code 0: done"),
        (128, False, None, "the device is gone", [], "exit code 128: the device is gone"),
    ],
)
def test_epitaphs(code: int, oom: bool, memory: int | None, trouble: str, lines: list[str], words: str) -> None:
    marks = labels.Marks("w", "d", "r", "ghcr.io", 8080, labels.Held(None, memory, None, ()))
    state = State(False, "exited", code, oom, trouble, "SIGTERM", None)
    assert looking.epitaph(state, marks, None, lines).startswith(words)


def test_own_last_words_come_first_but_for_the_kernels() -> None:
    marks = labels.Marks("w", "d", "r", BUILT_IN_REGISTRY, 8080, labels.Held(None, 1, None, ()))
    own = looking.Status(Phase.EXITED.value, "no weights")
    assert looking.epitaph(State(False, "exited", 1, False, "", "", None), marks, own, ["x"]) == "no weights"
    assert "out of memory" in looking.epitaph(State(False, "exited", 137, True, "", "", None), marks, own, ["x"])
