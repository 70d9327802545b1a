"""Workers of a real server follow load: up, down to none, and up again for the next call."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from server_process import Server
from test_server_life import FAKE, chat, client, eventually

pytestmark = pytest.mark.timeout(240)


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
