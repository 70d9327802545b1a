"""Models of vendors through the official client, and what is wrong with some."""

from typing import Any

import httpx
import pytest
from scale_gp import SGPClient


def test_a_vendors_model_through_the_official_client(client: SGPClient, account: str, name: str) -> None:
    parameters = {"model": "ft:gpt-4o:acme", "context_window": 128_000, "images": True}
    model = client.models.create(
        account_id=account,
        name=name,
        model_type="CHAT_COMPLETION",
        model_vendor="OPENAI",
        model_creation_parameters=parameters,
    )
    assert model.model_vendor == "OPENAI"
    assert model.model_template_id is None
    deployment = client.models.deployments.create(model.id, account_id=account, name=name)
    assert deployment.status == "READY"
    again = client.models.deployments.retrieve(deployment.id, model_instance_id=model.id)
    assert (again.status, again.id) == ("READY", deployment.id)
    assert client.models.retrieve(model.id).model_creation_parameters == parameters
    assert client.models.update(model.id, description="mine").description == "mine"
    assert client.models.deployments.delete(deployment.id, model_instance_id=model.id).success
    assert client.models.delete(model.id).success


@pytest.mark.parametrize(
    ("change", "loc", "words"),
    [
        ({"model_creation_parameters": {"model": "x", "api_key": "sk-1"}}, ["api_key"], "vendor-credentials"),
        (
            {"model_creation_parameters": {"model": "x", "colour": "red"}},
            ["colour"],
            "unknown parameter; there are base_url, ",
        ),
        ({"model_creation_parameters": {"model": 1}}, ["model"], "type str"),
        ({"model_creation_parameters": {"model": "x", "base_url": "file:///x"}}, ["base_url"], "https://"),
        ({"model_creation_parameters": {"model": "x", "context_window": 0}}, ["context_window"], "at least 1"),
        ({"model_creation_parameters": {"model": "x", "region": "r"}}, ["region"], "unknown"),
    ],
)
def test_wrong_parameters_are_named(
    http: httpx.Client, account: str, name: str, change: dict[str, Any], loc: list[str], words: str
) -> None:
    body = {"account_id": account, "name": name, "model_type": "CHAT_COMPLETION", "model_vendor": "OPENAI"}
    answer = http.post("/v4/models", json={**body, **change})
    assert answer.status_code == 422, answer.text
    [problem] = answer.json()["detail"]
    assert problem["loc"] == ["body", "model_creation_parameters", *loc]
    assert words in problem["msg"]


@pytest.mark.parametrize(
    ("vendor", "model_type"),
    [("ANTHROPIC", "EMBEDDING"), ("OPENAI", "RERANKING"), ("GOOGLE", "RERANKING"), ("COHERE", "AGENT")],
)
def test_a_type_that_the_vendor_has_nothing_for_is_refused(
    http: httpx.Client, account: str, name: str, vendor: str, model_type: str
) -> None:
    body = {"account_id": account, "name": name, "model_type": model_type, "model_vendor": vendor}
    answer = http.post("/v4/models", json={**body, "model_creation_parameters": {"model": "x"}})
    assert answer.status_code == 422, answer.text
    [problem] = answer.json()["detail"]
    assert problem["loc"] == ["body", "model_type"]
    assert "CHAT_COMPLETION" in problem["msg"]


@pytest.fixture
def vendors_model(http: httpx.Client, account: str, name: str) -> dict[str, Any]:
    body = {"account_id": account, "name": name, "model_type": "EMBEDDING", "model_vendor": "OPENAI"}
    answer = http.post("/v4/models", json={**body, "model_creation_parameters": {"model": "x"}})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


@pytest.mark.parametrize(
    ("configuration", "field"),
    [
        ({"vendor": "LAUNCH"}, "vendor"),
        ({"min_workers": 1}, "min_workers"),
        ({"cpus": 1}, "cpus"),
        ({"per_worker": 0}, "per_worker"),
    ],
)
def test_a_vendor_has_no_workers_to_configure(
    http: httpx.Client, vendors_model: dict[str, Any], configuration: dict[str, Any], field: str
) -> None:
    path = f"/v4/models/{vendors_model['id']}/deployments"
    answer = http.post(path, json={"name": "d", "vendor_configuration": configuration})
    assert answer.status_code == 422, answer.text
    assert field in str(answer.json()["detail"][0]["loc"])


def test_a_model_does_not_change_its_kind_under_a_deployment(
    http: httpx.Client, vendors_model: dict[str, Any], template: dict[str, Any]
) -> None:
    path = f"/v4/models/{vendors_model['id']}"
    assert http.post(f"{path}/deployments", json={"name": "d"}).status_code == 200
    hosted = {"model_vendor": "LAUNCH", "model_template_id": template["id"], "model_creation_parameters": {}}
    assert http.patch(path, json=hosted).json()["code"] == "change_breaks_deployment"
    emptied = http.patch(path, json={"model_creation_parameters": {}})
    assert (emptied.status_code, emptied.json()["code"]) == (409, "change_breaks_deployment")
    assert http.patch(path, json={"model_creation_parameters": {"model": "y"}}).status_code == 200


def test_generic_models_are_hosted(http: httpx.Client, account: str, name: str) -> None:
    body = {"account_id": account, "name": name, "model_type": "GENERIC", "model_vendor": "OPENAI"}
    answer = http.post("/v4/models", json={**body, "model_creation_parameters": {"model": "x"}})
    assert answer.json()["detail"][0]["loc"] == ["body", "model_type"]
