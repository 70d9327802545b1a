"""Workers of a real server follow load: up, down to none, and up again for the next call."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from scale_gp import SGPClient
from server_process import Server, Start
from test_server_life import FAKE, chat, client, deployed, eventually

pytestmark = pytest.mark.timeout(480)


def detail(api: httpx.Client, model: str, deployment: str) -> dict[str, object]:
    answer = api.get(f"/v4/models/{model}/deployments/{deployment}").raise_for_status().json()
    return {"status": answer["status"], **answer["status_detail"]}


def test_workers_follow_load_down_to_none_and_back(server: Server) -> None:
    with client(server) as api:
        template = api.post("/v4/model-templates", json={**FAKE, "name": "scaled"}).raise_for_status().json()
        wanted = {
            "name": "scaled",
            "model_type": "CHAT_COMPLETION",
            "model_template_id": template["id"],
            "model_creation_parameters": {"fake_delay_seconds": 0.2},
        }
        model = api.post("/v4/models", json=wanted).raise_for_status().json()["id"]
        scaling = {"min_workers": 0, "max_workers": 3, "per_worker": 1}
        windows = {"idle_seconds": 4, "up_window_seconds": 1, "down_window_seconds": 2}
        body = {"name": "main", "vendor_configuration": {**scaling, **windows}}
        made = api.post(f"/v4/models/{model}/deployments", json=body).raise_for_status().json()
        assert made["vendor_configuration"]["idle_seconds"] == 4
        deployment = made["id"]

        def three_ready(pool: ThreadPoolExecutor) -> bool:
            answers = list(pool.map(lambda _: chat(api, deployment).status_code, range(6)))
            assert set(answers) == {200}
            return detail(api, model, deployment)["workers_ready"] == 3

        with ThreadPoolExecutor(6) as pool:
            assert eventually(lambda: three_ready(pool))
        assert eventually(lambda: detail(api, model, deployment)["workers_ready"] == 0)
        idle = detail(api, model, deployment)
        assert (idle["status"], idle["phase"], idle["workers_wanted"]) == ("READY", "idle", 0)

        refused = api.post(
            f"/v4/models/{deployment}/chat-completions",
            json={"prompt": "hello", "chat_history": []},
            headers={"x-max-wait-seconds": "0"},
        )
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        wrong = api.post(
            f"/v4/models/{deployment}/chat-completions",
            json={"prompt": "hello", "chat_history": []},
            headers={"x-max-wait-seconds": "soon"},
        )
        assert wrong.status_code == 422
        assert "x-max-wait-seconds" in wrong.text
        assert chat(api, deployment).status_code == 200
        for field, value in (("idle_seconds", 0), ("up_window_seconds", -1), ("down_window_seconds", 1e9)):
            changed = api.patch(
                f"/v4/models/{model}/deployments/{deployment}", json={"vendor_configuration": {field: value}}
            )
            assert changed.status_code == 422
            assert field in changed.text


def test_a_stream_that_waits_says_so_and_clients_disregard_it(
    start_server: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = start_server(tmp_path_factory.mktemp("beats") / "data", MODELYARD_GATEWAY__HEARTBEAT_SECONDS="0.2")
    with client(server) as api:
        deployment = deployed(api, fake_delay_seconds=1.0)
        body = {"prompt": "one two", "chat_history": [], "stream": True}
        with api.stream("POST", f"/v4/models/{deployment}/chat-completions", json=body) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            lines = [line for line in stream.iter_lines() if line]
    assert lines[0] == ": waiting"
    assert {line.partition(":")[0] for line in lines} == {"", "data"}
    assert '"finish_reason":"' in lines[-1]
    sgp = SGPClient(base_url=server.url, api_key=server.key, _strict_response_validation=True)
    pieces = list(sgp.models.chat_completions.create(deployment, prompt="one two", chat_history=[], stream=True))
    assert pieces[-1].finish_reason


def test_a_deployment_can_be_called_the_moment_it_was_made(server: Server) -> None:
    with client(server) as api:
        template = api.post("/v4/model-templates", json={**FAKE, "name": "moment"}).raise_for_status().json()
        wanted = {"name": "moment", "model_type": "CHAT_COMPLETION", "model_template_id": template["id"]}
        model = api.post("/v4/models", json=wanted).raise_for_status().json()["id"]
        made = api.post(f"/v4/models/{model}/deployments", json={"name": "main", "wait_for_ready": False})
        assert chat(api, made.raise_for_status().json()["id"]).status_code == 200
