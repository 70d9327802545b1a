"""Templates, through the official client."""

from typing import Any

import httpx
import pytest
import scale_gp
from api_server import Running
from scale_gp import SGPClient


def test_a_template_comes_back_as_it_was_made(client: SGPClient, fake_template: dict[str, Any]) -> None:
    made = client.model_templates.create(**fake_template)
    assert made.name == fake_template["name"]
    assert made.account_id == fake_template["account_id"]
    assert made.created_by_identity_type == "user"
    assert made.created_at.tzinfo is not None
    assert client.model_templates.retrieve(made.id) == made


def test_what_a_template_leaves_out_is_completed(client: SGPClient, fake_template: dict[str, Any]) -> None:
    made = client.model_templates.create(**fake_template)
    bundle = made.vendor_configuration.bundle_config
    assert bundle.readiness_initial_delay_seconds == 120
    assert (bundle.healthcheck_route, bundle.predict_route) == ("/readyz", "/predict")
    assert bundle.streaming_predict_route == "/generate_streaming"
    endpoint = made.vendor_configuration.endpoint_config
    assert endpoint is not None
    assert (endpoint.cpus, endpoint.memory, endpoint.storage, endpoint.gpus) == (3, "8Gi", "16Gi", 0)
    assert (endpoint.min_workers, endpoint.max_workers, endpoint.per_worker) == (0, 1, 10)
    assert made.vendor_configuration.vendor == "LAUNCH"


def test_names_are_unique_in_an_account(client: SGPClient, fake_template: dict[str, Any]) -> None:
    client.model_templates.create(**fake_template)
    with pytest.raises(scale_gp.ConflictError) as raised:
        client.model_templates.create(**fake_template)
    assert raised.value.response.json()["code"] == "name_taken"
    assert raised.value.response.headers["x-should-retry"] == "false"


def test_a_patch_changes_only_what_is_sent(
    client: SGPClient, http: httpx.Client, fake_template: dict[str, Any]
) -> None:
    made = client.model_templates.create(**fake_template)
    change = {"vendor_configuration": {"endpoint_config": {"cpus": 2}, "bundle_config": {"env": {"A": "b"}}}}
    answer = http.patch(f"/v4/model-templates/{made.id}", json=change)
    assert answer.status_code == 200, answer.text
    after = client.model_templates.retrieve(made.id)
    assert after.vendor_configuration.endpoint_config.cpus == 2
    assert after.vendor_configuration.bundle_config.env == {"A": "b"}
    assert after.vendor_configuration.bundle_config.image == "fake"
    assert after.name == made.name
    assert after.model_creation_parameters_schema == made.model_creation_parameters_schema


def test_a_deleted_template_is_gone(client: SGPClient, fake_template: dict[str, Any]) -> None:
    made = client.model_templates.create(**fake_template)
    answer = client.model_templates.delete(made.id)
    assert (answer.count, answer.success) == (1, True)
    with pytest.raises(scale_gp.NotFoundError):
        client.model_templates.retrieve(made.id)
    with pytest.raises(scale_gp.NotFoundError):
        client.model_templates.delete(made.id)


def test_a_template_in_use_stays(client: SGPClient, fake_template: dict[str, Any], account: str) -> None:
    made = client.model_templates.create(**fake_template)
    client.models.create(
        account_id=account, name=fake_template["name"], model_type="EMBEDDING", model_template_id=made.id
    )
    with pytest.raises(scale_gp.ConflictError, match="1 model is made from"):
        client.model_templates.delete(made.id)


def test_built_in_templates_are_there_and_stay_as_they_are(client: SGPClient, http: httpx.Client) -> None:
    built_in = {template.name: template for template in client.model_templates.list()}["llama-cpp-chat"]
    for answer in (
        http.delete(f"/v4/model-templates/{built_in.id}"),
        http.patch(f"/v4/model-templates/{built_in.id}", json={"name": "mine"}),
    ):
        assert answer.status_code == 403
        assert answer.json()["code"] == "built_in"


def bundle(**changes: Any) -> dict[str, Any]:
    return {
        "vendor_configuration": {"bundle_config": {"registry": "modelyard", "image": "fake", "tag": "1", **changes}}
    }


def endpoint(**values: Any) -> dict[str, Any]:
    config = bundle()["vendor_configuration"]
    return {"vendor_configuration": {**config, "endpoint_config": values}}


def schema(*parameters: tuple[str, str]) -> dict[str, Any]:
    fields = [{"name": name, "type": type_, "description": "", "required": False} for name, type_ in parameters]
    return {"model_creation_parameters_schema": {"parameters": fields}}


SCHEMA = ["body", "model_creation_parameters_schema", "parameters"]
BUNDLE = ["body", "vendor_configuration", "bundle_config"]
ENDPOINT = ["body", "vendor_configuration", "endpoint_config"]


@pytest.mark.parametrize(
    ("change", "loc", "words"),
    [
        ({"name": ""}, ["body", "name"], "at least 1"),
        ({"name": None}, ["body", "name"], "string"),
        ({"name": 7}, ["body", "name"], "string"),
        ({"surprise": 1}, ["body", "surprise"], "unknown field"),
        ({"endpoint_type": "FAST"}, ["body", "endpoint_type"], "SYNC"),
        ({"model_type": "BUNDLE", "endpoint_protocol": "VLLM"}, ["body", "endpoint_protocol"], "speaks SGP"),
        (bundle(image="gpt-9"), [*BUNDLE, "image"], "llama-cpp"),
        (bundle(command=["sh"]), [*BUNDLE, "command"], "built-in engine"),
        (bundle(env={"1A": "x"}), [*BUNDLE, "env", "1A"], "variable name"),
        (bundle(env={"PORT": "1"}), [*BUNDLE, "env", "PORT"], "launcher"),
        (bundle(env={"A": "${nowhere}"}), [*BUNDLE, "env", "A"], "${nowhere}"),
        (bundle(readiness_initial_delay_seconds=-1), [*BUNDLE, "readiness_initial_delay_seconds"], "greater"),
        (bundle(readiness_initial_delay_seconds="5"), [*BUNDLE, "readiness_initial_delay_seconds"], "integer"),
        (bundle(predict_route="http://elsewhere"), [*BUNDLE, "predict_route"], "match"),
        (bundle(registry="local", image="x"), [*BUNDLE, "command"], "give it"),
        (bundle(registry="local", image="x", command=[" "]), [*BUNDLE, "command", 0], "program"),
        (bundle(registry="docker.io", image="a b"), [*BUNDLE, "image"], "no spaces"),
        (endpoint(cpus=0), [*ENDPOINT, "cpus"], "at least 1"),
        (endpoint(cpus=-1), [*ENDPOINT, "cpus"], "greater"),
        (endpoint(cpus=1.5), [*ENDPOINT, "cpus"], "integer"),
        (endpoint(cpus=True), [*ENDPOINT, "cpus"], "integer"),
        (endpoint(memory="lots"), [*ENDPOINT, "memory"], "500M or 8Gi"),
        (endpoint(storage="0"), [*ENDPOINT, "storage"], "more than nothing"),
        (endpoint(gpu_type="abacus"), [*ENDPOINT, "gpu_type"], "nvidia-tesla-t4"),
        (endpoint(min_workers=2), [*ENDPOINT, "min_workers"], "max_workers"),
        (endpoint(min_workers=3, max_workers=2), [*ENDPOINT, "min_workers"], "max_workers"),
        (endpoint(max_workers=0), [*ENDPOINT, "max_workers"], "at least 1"),
        (endpoint(max_workers=10**6), [*ENDPOINT, "max_workers"], "at most 64"),
        (endpoint(per_worker=0), [*ENDPOINT, "per_worker"], "between 1"),
        (schema(("fake_fail", "int")), [*SCHEMA, 0, "type"], "as str"),
        (schema(("fake_fail", "bytes")), [*SCHEMA, 0, "type"], "str"),
        (schema(("fake_fail", "str"), ("fake_fail", "str")), [*SCHEMA, 1, "name"], "twice"),
        (schema(("LD_PRELOAD", "str")), [*SCHEMA, 0, "name"], "reserved"),
        (schema(("no-name", "str")), [*SCHEMA, 0, "name"], "variable name"),
        (schema(("colour", "str")), [*SCHEMA, 0, "name"], "does not read it"),
    ],
)
def test_what_is_wrong_with_a_template_is_named(
    http: httpx.Client, fake_template: dict[str, Any], change: dict[str, Any], loc: list[Any], words: str
) -> None:
    before = http.get("/v4/model-templates", params={"limit": 1}).json()["total_item_count"]
    answer = http.post("/v4/model-templates", json={**fake_template, **change})
    assert answer.status_code == 422, answer.text
    body = answer.json()
    assert body["request_id"] == answer.headers["x-request-id"]
    assert loc in [each["loc"] for each in body["detail"]], body
    [msg] = [each["msg"] for each in body["detail"] if each["loc"] == loc][:1]
    assert words in msg
    assert http.get("/v4/model-templates", params={"limit": 1}).json()["total_item_count"] == before


def test_an_engine_s_parameter_must_come_from_somewhere(http: httpx.Client, fake_template: dict[str, Any]) -> None:
    needy = {
        **fake_template,
        **bundle(image="llama-cpp"),
        **schema(("slots", "int")),
        "model_type": "CHAT_COMPLETION",
        "endpoint_protocol": "VLLM",
    }
    answer = http.post("/v4/model-templates", json=needy)
    assert answer.status_code == 422
    assert "needs 'weights'" in answer.json()["detail"][0]["msg"]
    fixed = {**needy, **bundle(image="llama-cpp", env={"weights": "file:/models/a.gguf"})}
    assert http.post("/v4/model-templates", json=fixed).status_code == 200


def test_only_administrators_write_commands(
    server: Running, http: httpx.Client, fake_template: dict[str, Any], account: str
) -> None:
    local = {**fake_template, **bundle(registry="local", image="x", command=["python", "serve.py"])}
    key = http.post("/v4/api-keys", json={"name": "editor", "role": "editor", "account_id": account}).json()["key"]
    refused = httpx.post(f"{server.url}/v4/model-templates", json=local, headers={"x-api-key": key})
    assert refused.status_code == 403
    assert refused.json()["code"] == "administrator_needed"
    made = http.post("/v4/model-templates", json=local)
    assert made.status_code == 200
    taken_over = httpx.patch(
        f"{server.url}/v4/model-templates/{made.json()['id']}",
        json={"vendor_configuration": {"bundle_config": {"command": ["rm"]}}},
        headers={"x-api-key": key},
    )
    assert taken_over.status_code == 403


def test_a_change_that_breaks_a_model_is_refused(
    http: httpx.Client, fake_template: dict[str, Any], account: str
) -> None:
    template = http.post("/v4/model-templates", json=fake_template).json()
    model = {
        "account_id": account,
        "name": fake_template["name"],
        "model_type": "EMBEDDING",
        "model_template_id": template["id"],
        "model_creation_parameters": {"fake_fail": ""},
    }
    assert http.post("/v4/models", json=model).status_code == 200
    for change in ({"model_creation_parameters_schema": {"parameters": []}}, {"model_type": "RERANKING"}):
        answer = http.patch(f"/v4/model-templates/{template['id']}", json=change)
        assert answer.status_code == 409
        assert answer.json()["code"] == "change_breaks_deployment"
        assert fake_template["name"] in answer.json()["detail"]
    assert http.get(f"/v4/model-templates/{template['id']}").json() == template
