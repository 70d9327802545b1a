"""A real server whose models run in containers, on a real engine."""

import signal
from pathlib import Path

import httpx
import pytest
from container_engine import TestEngine, engine, none_left, python_image, worker_image
from container_images import PYTHON, WORKER
from scale_gp import SGPClient
from server_process import Server, Start

__all__ = ["engine", "none_left", "python_image", "worker_image"]

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("none_left")]


def template(image: str, **bundle: object) -> dict[str, object]:
    registry, _, rest = image.partition("/")
    name, _, tag = rest.partition(":")
    return {
        "name": "mine",
        "endpoint_type": "SYNC",
        "model_type": "EMBEDDING",
        "vendor_configuration": {
            "bundle_config": {"registry": registry, "image": name, "tag": tag, **bundle},
            "endpoint_config": {"cpus": 1, "memory": "256Mi", "min_workers": 1},
        },
    }


def client(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers={"x-api-key": server.key}, timeout=120)


def model_of(api: httpx.Client, body: dict[str, object]) -> str:
    made = api.post("/v4/model-templates", json=body).raise_for_status().json()
    model = {"name": "mine", "model_type": body["model_type"], "model_template_id": made["id"]}
    return str(api.post("/v4/models", json=model).raise_for_status().json()["id"])


@pytest.fixture
def start(start_server: Start, engine: TestEngine) -> Start:
    def started(directory: Path, **settings: str) -> Server:
        return start_server(
            directory,
            MODELYARD_LAUNCHER="container",
            MODELYARD_CONTAINERS__ENGINE=engine.address,
            MODELYARD_CATALOG__STARTERS="false",
            **settings,
        )

    return started


def test_an_image_is_served_and_found_again_after_the_server_was_killed(
    start: Start, engine: TestEngine, python_image: str, tmp_path: Path
) -> None:
    server = start(tmp_path / "data")
    with client(server) as api:
        model = model_of(api, template(python_image, command=[PYTHON, WORKER]))
        made = api.post(f"/v4/models/{model}/deployments", json={"name": "main"}).raise_for_status().json()
        assert made["status"] == "READY"
        text = api.get(f"/v4/models/{model}/deployments/{made['id']}").json()
        assert text["status_detail"]["workers_ready"] == 1
    sgp = SGPClient(base_url=server.url, api_key=server.key)
    assert sgp.models.embeddings.create(made["id"], texts=["hello"]).embeddings[0] == ["hello", [1.0]]
    before = engine.containers()
    assert len(before) == 1

    server.process.send_signal(signal.SIGKILL)
    server.process.wait()
    again = start(tmp_path / "data")
    with client(again) as api:
        answer = api.post(f"/v4/models/{made['id']}/embeddings", json={"texts": ["again"]}).raise_for_status()
        assert answer.json()["embeddings"][0][0] == "again"
    assert engine.containers() == before
    assert again.stop() == 0
    assert engine.containers() == []


def test_an_image_that_cannot_be_had_fails_the_deployment_with_the_reason(
    start: Start, engine: TestEngine, tmp_path: Path
) -> None:
    server = start(tmp_path / "data")
    image = f"127.0.0.1:{engine.registry_port}/nobody/here:1"
    with client(server) as api:
        model = model_of(api, template(image))
        answer = api.post(f"/v4/models/{model}/deployments", json={"name": "main"})
        assert answer.status_code == 422
        assert answer.json()["code"] == "deployment_failed"
        assert image in str(answer.json()["detail"])
        (made,) = api.get(f"/v4/models/{model}/deployments").json()["items"]
        assert made["status"] == "UPDATE_FAILED"
        assert f"The registry 127.0.0.1:{engine.registry_port} could not be reached" in made["status_detail"]["reason"]
    assert server.stop() == 0


def test_built_in_engines_run_in_the_image_that_the_setting_names(
    start: Start, engine: TestEngine, worker_image: str, tmp_path: Path
) -> None:
    server = start(tmp_path / "data", MODELYARD_CONTAINERS__WORKER_IMAGE=worker_image)
    with client(server) as api:
        body = {**template("modelyard/fake:1"), "endpoint_type": "STREAMING", "model_type": "CHAT_COMPLETION"}
        model = model_of(api, body)
        made = api.post(f"/v4/models/{model}/deployments", json={"name": "main"}).raise_for_status().json()
        assert made["status"] == "READY"
        assert len(engine.containers()) == 1
        assert server.workers() == []
        call = {"prompt": "one two three", "chat_history": [], "max_tokens": 3, "stream": True}
        answer = api.post(f"/v4/models/{made['id']}/chat-completions", json=call).raise_for_status()
        assert '"finish_reason":"' in answer.text.strip().splitlines()[-1]
    assert server.stop() == 0
    assert engine.containers() == []
