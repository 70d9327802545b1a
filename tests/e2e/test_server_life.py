"""What happens to a server and its workers when it starts, stops, and is killed."""

import json
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from server_process import KEY, MODELYARD, UNSET, Server, Start, environment

pytestmark = pytest.mark.timeout(480)

FAKE = {
    "name": "echo",
    "endpoint_type": "STREAMING",
    "model_type": "CHAT_COMPLETION",
    "vendor_configuration": {"bundle_config": {"registry": "modelyard", "image": "fake", "tag": "1"}},
    "model_creation_parameters_schema": {
        "parameters": [
            {"name": "fake_delay_seconds", "type": "float", "description": "pause before each token", "required": False}
        ]
    },
}


def client(server: Server) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers={"x-api-key": server.key}, timeout=90)


def deployed(api: httpx.Client, **parameters: object) -> str:
    """A deployment of the fake engine, ready."""
    template = api.post("/v4/model-templates", json=FAKE).raise_for_status().json()
    model = {
        "name": "echo",
        "model_type": "CHAT_COMPLETION",
        "model_template_id": template["id"],
        "model_creation_parameters": parameters,
    }
    model_id = api.post("/v4/models", json=model).raise_for_status().json()["id"]
    made = api.post(f"/v4/models/{model_id}/deployments", json={"name": "main"}).raise_for_status().json()
    assert made["status"] == "READY"
    return str(made["id"])


def chat(api: httpx.Client, deployment: str) -> httpx.Response:
    body = {"prompt": "hello there", "chat_history": [], "max_tokens": 5}
    return api.post(f"/v4/models/{deployment}/chat-completions", json=body)


def eventually(what: Callable[[], bool], seconds: float = 120) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.1)
    return False


def test_a_stopped_server_leaves_nothing_behind_and_what_was_used_is_written(
    start_server: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("stopped") / "data"
    server = start_server(directory)
    with client(server) as api:
        deployment = deployed(api)
        answer = chat(api, deployment).raise_for_status().json()
    workers = server.workers()
    assert len(workers) == 1
    assert server.stop() == 0
    assert not any(worker.is_running() for worker in workers)

    again = start_server(directory)
    with client(again) as api:
        span = {"chunks": 1, "start_date": "2026-01-01T00:00:00Z", "end_date": "2100-01-01T00:00:00Z"}
        usage = api.get(f"/v4/model-deployments/{deployment}/usage-statistics", params=span).json()["data"][0]
        assert usage["prompt_tokens"] == answer["prompt_tokens"] > 0
        assert usage["response_tokens"] == answer["response_tokens"] > 0
        # the deployment is put up again by itself
        assert chat(api, deployment).status_code == 200
    assert again.stop() == 0


def test_a_killed_server_finds_its_workers_again_and_doubles_none(
    start_server: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("killed") / "data"
    server = start_server(directory)
    with client(server) as api:
        deployment = deployed(api)
    before = {worker.pid for worker in server.workers()}
    server.process.send_signal(signal.SIGKILL)
    server.process.wait()

    again = start_server(directory)
    with client(again) as api:
        assert chat(api, deployment).status_code == 200
    assert {worker.pid for worker in again.workers()} == before
    assert len(before) == 1
    assert again.stop() == 0
    assert not again.workers()


def test_calls_under_way_are_finished_before_the_server_goes(
    start_server: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = start_server(tmp_path_factory.mktemp("drained") / "data")
    with client(server) as api:
        deployment = deployed(api, fake_delay_seconds=0.3)
        body = {"prompt": "one two three four five six", "chat_history": [], "stream": True}
        with api.stream("POST", f"/v4/models/{deployment}/chat-completions", json=body) as stream:
            lines = stream.iter_lines()
            first = next(lines)
            server.process.send_signal(signal.SIGTERM)
            rest = [line for line in lines if line.startswith("data:")]
    assert first.startswith("data:")
    assert '"finish_reason":"' in rest[-1]
    assert server.process.wait(60) == 0


def test_a_second_server_on_the_same_data_directory_is_told_so(server: Server) -> None:
    second = subprocess.run(
        [MODELYARD, "serve"], env=environment(server.data_dir), capture_output=True, text=True, timeout=60
    )
    assert second.returncode == 1
    assert f"Another modelyard server is using the data directory {server.data_dir}" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_taken_port_is_said_in_words(server: Server, tmp_path_factory: pytest.TempPathFactory) -> None:
    port = server.url.rsplit(":", 1)[1]
    env = environment(tmp_path_factory.mktemp("taken"), MODELYARD_PORT=port)
    second = subprocess.run([MODELYARD, "serve"], env=env, capture_output=True, text=True, timeout=60)
    assert second.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in second.stderr
    assert "--port" in second.stderr


def test_a_wrong_setting_is_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    env = environment(tmp_path_factory.mktemp("wrong"), MODELYARD_GATEWAY__RETRIES="many")
    done = subprocess.run([MODELYARD, "serve"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "MODELYARD_GATEWAY__RETRIES" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_administrators_key_is_made_once_and_kept_private(
    start_server: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("first") / "data"
    server = start_server(directory, MODELYARD_BOOTSTRAP_API_KEY=UNSET, MODELYARD_CATALOG__STARTERS="false")
    file = directory / "admin.key"
    key = file.read_text().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert server.log.read_text().count(key) == 1
    answer = httpx.get(f"{server.url}/user-info", headers={"x-api-key": key})
    assert answer.json()["access_profiles"][0]["role"] == "admin"
    assert httpx.get(f"{server.url}/user-info", headers={"x-api-key": KEY}).status_code == 401
    assert server.stop() == 0
    again = start_server(directory, MODELYARD_BOOTSTRAP_API_KEY=UNSET, MODELYARD_CATALOG__STARTERS="false")
    assert file.read_text().strip() == key
    assert server.log.read_text().count(key) == 1
    assert again.stop() == 0


def test_settings_are_printed_with_where_they_came_from_and_secrets_masked() -> None:
    env = environment(Path("/nowhere"), MODELYARD_GATEWAY__RETRIES="1")
    done = subprocess.run([MODELYARD, "settings", "--json"], env=env, capture_output=True, text=True, timeout=60)
    rows = {row["setting"]: row for row in json.loads(done.stdout)}
    assert rows["MODELYARD_GATEWAY__RETRIES"]["value"] == 1
    assert rows["MODELYARD_GATEWAY__RETRIES"]["source"] == "environment"
    assert rows["MODELYARD_GATEWAY__DRAIN_SECONDS"]["source"] == "default"
    assert rows["MODELYARD_BOOTSTRAP_API_KEY"]["value"] == "********"
    assert KEY not in done.stdout


def test_a_table_of_settings_is_printed_with_its_secrets_masked() -> None:
    logins = '{"ghcr.io": {"username": "me", "password": "a secret"}}'
    env = environment(Path("/nowhere"), MODELYARD_CONTAINERS__REGISTRIES=logins)
    done = subprocess.run([MODELYARD, "settings", "--json"], env=env, capture_output=True, text=True, timeout=60)
    rows = {row["setting"]: row for row in json.loads(done.stdout)}
    row = rows["MODELYARD_CONTAINERS__REGISTRIES"]
    assert row["value"] == {"ghcr.io": {"username": "me", "password": "********"}}
    assert row["source"] == "environment"
