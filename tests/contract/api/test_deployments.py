"""Deployments, through the official client; what workers do is pretended."""

import threading
import time
from typing import Any

import httpx
import pytest
import scale_gp
from api_server import KEY, Running
from scale_gp import SGPClient


def test_a_deployment_is_ready_when_the_call_returns(client: SGPClient, model: dict[str, Any]) -> None:
    made = client.models.deployments.create(
        model["id"], name="one", deployment_metadata={"team": "search"}, model_creation_parameters={"fake_fail": ""}
    )
    assert made.status == "READY"
    assert made.model_instance_id == model["id"]
    assert made.deployment_metadata == {"team": "search"}
    assert made.vendor_configuration.vendor == "LAUNCH"
    numbers = made.vendor_configuration
    assert (numbers.min_workers, numbers.max_workers, numbers.per_worker) == (0, 1, 10)
    assert client.models.deployments.retrieve(made.id, model_instance_id=model["id"]) == made


def test_status_detail_is_ours(http: httpx.Client, model: dict[str, Any]) -> None:
    made = http.post(f"/v4/models/{model['id']}/deployments", json={"name": "one"}).json()
    detail = made["status_detail"]
    assert {"phase", "reason", "workers_ready", "workers_wanted", "revision", "eta_seconds"} == set(detail)
    assert (detail["workers_ready"], detail["workers_wanted"], detail["phase"]) == (1, 1, "ready")
    assert http.get(f"/v4/model-deployments/{made['id']}").json() == made


def test_a_failure_says_why_and_leaves_the_deployment_there(http: httpx.Client, model: dict[str, Any]) -> None:
    path = f"/v4/models/{model['id']}/deployments"
    answer = http.post(path, json={"name": "one", "model_creation_parameters": {"fake_fail": "load"}})
    assert answer.status_code == 422
    assert answer.json()["code"] == "deployment_failed"
    assert "no such file" in answer.json()["detail"][0]["msg"]
    [there] = http.get(path).json()["items"]
    assert there["status"] == "UPDATE_FAILED"
    assert "no such file" in there["status_detail"]["reason"]
    assert there["id"] in answer.json()["detail"][0]["msg"]
    renamed = http.patch(f"{path}/{there['id']}", json={"name": "two"})
    assert (renamed.status_code, renamed.json()["status"]) == (200, "UPDATE_FAILED")
    mended = http.patch(f"{path}/{there['id']}", json={"model_creation_parameters": {}})
    assert mended.json()["status"] == "READY"


def test_nobody_waits_who_does_not_want_to(client: SGPClient, model: dict[str, Any]) -> None:
    made = client.models.deployments.create(
        model["id"], name="one", deployment_metadata={"stay": True}, wait_for_ready=False
    )
    assert made.status == "UPDATE_PENDING"


def test_a_repeated_create_waits_for_the_first_one(server: Running, model: dict[str, Any]) -> None:
    path = f"{server.url}/v4/models/{model['id']}/deployments"
    body = {"name": "one", "deployment_metadata": {"stay": True}}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(path, json=body, headers={"x-api-key": KEY}, timeout=0.5)
    answers: list[httpx.Response] = []
    again = {"x-api-key": KEY, "x-stainless-retry-count": "1"}
    waiting = threading.Thread(target=lambda: answers.append(httpx.post(path, json=body, headers=again, timeout=30)))
    waiting.start()
    [there] = httpx.get(path, headers={"x-api-key": KEY}).json()["items"]
    server.run(server.reconciler.release(there["id"]))
    waiting.join(30)
    assert answers[0].status_code == 200
    assert answers[0].json()["id"] == there["id"]
    assert answers[0].json()["status"] == "READY"
    assert httpx.get(path, headers={"x-api-key": KEY}).json()["total_item_count"] == 1


def test_a_client_that_leaves_is_not_waited_for(server: Running, model: dict[str, Any]) -> None:
    path = f"{server.url}/v4/models/{model['id']}/deployments"
    body = {"name": "one", "deployment_metadata": {"stay": True}}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(path, json=body, headers={"x-api-key": KEY}, timeout=0.5)

    async def waits() -> int:
        import asyncio

        return sum("Deployments.settled" in repr(task) for task in asyncio.all_tasks())

    until = time.monotonic() + 10
    while server.run(waits()) and time.monotonic() < until:
        time.sleep(0.05)
    assert server.run(waits()) == 0


def test_a_server_that_stops_lets_nobody_wait(server: Running, model: dict[str, Any]) -> None:
    path = f"{server.url}/v4/models/{model['id']}/deployments"
    body = {"name": "one", "deployment_metadata": {"stay": True}}
    answers: list[httpx.Response] = []
    waiting = threading.Thread(target=lambda: answers.append(httpx.post(path, json=body, headers={"x-api-key": KEY})))
    waiting.start()
    until = time.monotonic() + 10
    while not httpx.get(path, headers={"x-api-key": KEY}).json()["items"] and time.monotonic() < until:
        time.sleep(0.05)
    try:
        server.loop.call_soon_threadsafe(server.parts.stopping.set)
        waiting.join(30)
        assert "the server is stopping" in httpx.get(f"{server.url}/readyz").json()["reasons"]
    finally:
        server.parts.stopping.clear()
    assert (answers[0].status_code, answers[0].json()["code"]) == (503, "server_stopping")
    assert answers[0].headers["retry-after"] == "5"


def test_names_are_unique_in_a_model(client: SGPClient, model: dict[str, Any]) -> None:
    client.models.deployments.create(model["id"], name="one")
    with pytest.raises(scale_gp.ConflictError) as raised:
        client.models.deployments.create(model["id"], name="one")
    assert raised.value.response.headers["x-should-retry"] == "false"


def test_a_patch_of_a_deployment_changes_only_what_is_sent(client: SGPClient, model: dict[str, Any]) -> None:
    made = client.models.deployments.create(
        model["id"],
        name="one",
        deployment_metadata={"a": 1},
        vendor_configuration={"vendor": "LAUNCH", "min_workers": 1, "max_workers": 4, "per_worker": 7},
    )
    renamed = client.models.deployments.update(made.id, model_instance_id=model["id"], name="two")
    assert renamed.name == "two"
    assert renamed.deployment_metadata == {"a": 1}
    assert renamed.vendor_configuration == made.vendor_configuration
    scaled = client.models.deployments.update(
        made.id, model_instance_id=model["id"], vendor_configuration={"vendor": "LAUNCH", "max_workers": 8}
    )
    numbers = scaled.vendor_configuration
    assert (numbers.min_workers, numbers.max_workers, numbers.per_worker) == (1, 8, 7)
    assert scaled.name == "two"


def test_scaling_numbers_alone_are_no_new_revision(http: httpx.Client, model: dict[str, Any]) -> None:
    path = f"/v4/models/{model['id']}/deployments"
    made = http.post(path, json={"name": "one"}).json()
    scaled = http.patch(f"{path}/{made['id']}", json={"vendor_configuration": {"max_workers": 3}}).json()
    assert scaled["status_detail"]["revision"] == made["status_detail"]["revision"]
    rolled = http.patch(f"{path}/{made['id']}", json={"model_creation_parameters": {"fake_fail": "request"}}).json()
    assert rolled["status_detail"]["revision"] != made["status_detail"]["revision"]
    messages = [event["message"] for event in http.get(f"/v4/model-deployments/{made['id']}/events").json()["items"]]
    assert "to 0..3" in messages[1]
    assert rolled["status_detail"]["revision"] in messages[0]


def test_null_takes_a_number_back_to_the_template_s(http: httpx.Client, model: dict[str, Any]) -> None:
    path = f"/v4/models/{model['id']}/deployments"
    made = http.post(path, json={"name": "one", "vendor_configuration": {"per_worker": 3}}).json()
    after = http.patch(f"{path}/{made['id']}", json={"vendor_configuration": {"per_worker": None}}).json()
    assert after["vendor_configuration"]["per_worker"] == 10


def test_llmengine_keeps_what_it_is_told(client: SGPClient, http: httpx.Client, model: dict[str, Any]) -> None:
    assert http.patch(f"/v4/models/{model['id']}", json={"model_vendor": "LLMENGINE"}).status_code == 200
    made = client.models.deployments.create(
        model["id"],
        name="one",
        vendor_configuration={
            "vendor": "LLMENGINE",
            "model_name": "mine",
            "checkpoint_path": "file:/models",
            "num_shards": 2,
            "memory": "2Gi",
        },
    )
    assert made.vendor_configuration.vendor == "LLMENGINE"
    assert made.vendor_configuration.checkpoint_path == "file:/models"
    assert made.vendor_configuration.max_workers == 1


def test_a_deleted_deployment_goes_away(client: SGPClient, model: dict[str, Any]) -> None:
    made = client.models.deployments.create(model["id"], name="one")
    answer = client.models.deployments.delete(made.id, model_instance_id=model["id"])
    assert (answer.count, answer.success) == (1, True)
    with pytest.raises(scale_gp.NotFoundError):
        client.models.deployments.retrieve(made.id, model_instance_id=model["id"])


def test_a_deployment_is_found_under_its_own_model_only(http: httpx.Client, model: dict[str, Any]) -> None:
    made = http.post(f"/v4/models/{model['id']}/deployments", json={"name": "one"}).json()
    starter = http.get("/v4/models", params={"model_type": "RERANKING"}).json()["items"][-1]
    for method in ("GET", "PATCH", "DELETE"):
        answer = http.request(method, f"/v4/models/{starter['id']}/deployments/{made['id']}", json={})
        assert (answer.status_code, answer.json()["code"]) == (404, "deployment_not_found")


def test_built_in_deployments_stay_as_they_are(client: SGPClient, http: httpx.Client) -> None:
    [built_in] = [each for each in client.models.deployments.list_all() if each.name == "all-minilm-l6-v2"]
    path = f"/v4/models/{built_in.model_instance_id}/deployments/{built_in.id}"
    for answer in (http.delete(path), http.patch(path, json={"name": "mine"})):
        assert (answer.status_code, answer.json()["code"]) == (403, "built_in")


def test_lists_of_one_model_and_of_all(client: SGPClient, model: dict[str, Any]) -> None:
    ids = [client.models.deployments.create(model["id"], name=f"d{number}").id for number in range(3)]
    assert [each.id for each in client.models.deployments.list(model["id"])] == ids[::-1]
    by_name = client.models.deployments.list(model["id"], sort_by=["name:asc", "created_at:desc"])
    assert [each.id for each in by_name] == ids
    assert set(ids) <= {each.id for each in client.models.deployments.list_all()}


def test_logs_and_events(http: httpx.Client, model: dict[str, Any]) -> None:
    made = http.post(f"/v4/models/{model['id']}/deployments", json={"name": "one"}).json()
    [worker] = http.get(f"/v4/model-deployments/{made['id']}/logs", params={"lines": 3}).json()["workers"]
    assert worker["phase"] == "ready"
    assert worker["lines"][-1].startswith("line 499 of")
    assert len(worker["lines"]) == 3
    [event] = http.get(f"/v4/model-deployments/{made['id']}/events").json()["items"]
    assert event["kind"] == "created"


@pytest.mark.parametrize(
    ("change", "loc", "words"),
    [
        ({"name": ""}, ["name"], "at least 1"),
        ({"wait_for_ready": "yes"}, ["wait_for_ready"], "boolean"),
        ({"vendor_configuration": {"min_workers": 2}}, ["vendor_configuration", "min_workers"], "max_workers"),
        ({"vendor_configuration": {"min_workers": -1}}, ["vendor_configuration", "min_workers"], "greater"),
        ({"vendor_configuration": {"max_workers": 0}}, ["vendor_configuration", "max_workers"], "at least 1"),
        ({"vendor_configuration": {"max_workers": 65}}, ["vendor_configuration", "max_workers"], "at most 64"),
        ({"vendor_configuration": {"per_worker": 0}}, ["vendor_configuration", "per_worker"], "between"),
        ({"vendor_configuration": {"vendor": "OPENAI"}}, ["vendor_configuration", "vendor"], "LAUNCH"),
        ({"vendor_configuration": {"vendor": "LLMENGINE"}}, ["vendor_configuration", "vendor"], "LAUNCH"),
        ({"vendor_configuration": {"num_shards": 1}}, ["vendor_configuration", "num_shards"], "LLMENGINE"),
        ({"vendor_configuration": {"colour": 1}}, ["vendor_configuration", "colour"], "unknown field"),
        ({"model_creation_parameters": {"colour": 1}}, ["model_creation_parameters", "colour"], "unknown"),
        ({"model_creation_parameters": {"fake_fail": 7}}, ["model_creation_parameters", "fake_fail"], "type str"),
        ({"account_id": "nowhere"}, None, "no account 'nowhere'"),
    ],
)
def test_what_is_wrong_with_a_deployment_is_named(
    http: httpx.Client, model: dict[str, Any], change: dict[str, Any], loc: list[str] | None, words: str
) -> None:
    path = f"/v4/models/{model['id']}/deployments"
    answer = http.post(path, json={"name": "one", **change})
    assert answer.status_code == (404 if loc is None else 422), answer.text
    if loc is not None:
        found = [each["msg"] for each in answer.json()["detail"] if each["loc"] == ["body", *loc]]
        assert found, answer.text
        assert words in found[0]
    else:
        assert words in answer.json()["detail"]
    assert http.get(path).json()["total_item_count"] == 0


def test_what_a_template_requires_may_come_with_the_deployment(
    http: httpx.Client, fake_template: dict[str, Any], account: str, name: str
) -> None:
    fake_template["model_creation_parameters_schema"]["parameters"][0]["required"] = True
    template = http.post("/v4/model-templates", json=fake_template).json()
    body = {"account_id": account, "name": name, "model_type": "EMBEDDING", "model_template_id": template["id"]}
    model = http.post("/v4/models", json=body).json()
    path = f"/v4/models/{model['id']}/deployments"
    missing = http.post(path, json={"name": "one"})
    assert missing.status_code == 422
    assert missing.json()["detail"][0]["loc"] == ["body", "model_creation_parameters", "fake_fail"]
    given = http.post(path, json={"name": "one", "model_creation_parameters": {"fake_fail": ""}})
    assert given.status_code == 200


def test_images_wait_for_another_launcher(http: httpx.Client, fake_template: dict[str, Any], account: str) -> None:
    fake_template["vendor_configuration"]["bundle_config"] |= {"registry": "docker.io", "image": "me/mine"}
    template = http.post("/v4/model-templates", json=fake_template)
    assert template.status_code == 200
    body = {"account_id": account, "name": fake_template["name"], "model_type": "EMBEDDING"}
    model = http.post("/v4/models", json={**body, "model_template_id": template.json()["id"]}).json()
    answer = http.post(f"/v4/models/{model['id']}/deployments", json={"name": "one"})
    assert answer.status_code == 422
    assert answer.json()["code"] == "launcher_cannot_run_images"
    assert "--launcher container" in answer.json()["detail"][0]["msg"]


def test_everybody_may_deploy_a_built_in_model(client: SGPClient, http: httpx.Client, account: str, name: str) -> None:
    starter = http.get("/v4/models", params={"model_type": "RERANKING", "sort_by": "created_at:asc"}).json()["items"][0]
    made = client.models.deployments.create(starter["id"], name=name)
    assert made.account_id == account
    client.models.deployments.delete(made.id, model_instance_id=starter["id"])


@pytest.mark.parametrize(("field", "value", "figure"), [("memory", "900Ti", "921,600 GiB"), ("memory", "1P", "GiB")])
def test_what_can_never_fit_is_refused_with_the_figures(
    http: httpx.Client, template: dict[str, Any], model: dict[str, Any], field: str, value: str, figure: str
) -> None:
    edit = {"vendor_configuration": {"endpoint_config": {field: value}}}
    assert http.patch(f"/v4/model-templates/{template['id']}", json=edit).status_code == 200
    answer = http.post(f"/v4/models/{model['id']}/deployments", json={"name": "huge"})
    assert (answer.status_code, answer.json()["code"]) == (422, "never_fits"), answer.text
    [detail] = answer.json()["detail"]
    assert detail["loc"] == ["body", "vendor_configuration", field]
    assert figure in detail["msg"]
    assert "there are 16 in all" in detail["msg"]
    assert http.get(f"/v4/models/{model['id']}/deployments").json()["items"] == []
