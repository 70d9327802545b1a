"""Models, through the official client."""

from typing import Any

import httpx
import jsonschema
import pytest
import scale_gp
from scale_gp import SGPClient


def test_a_model_comes_back_as_it_was_made(
    client: SGPClient, template: dict[str, Any], account: str, name: str
) -> None:
    made = client.models.create(
        account_id=account,
        name=name,
        model_type="EMBEDDING",
        model_template_id=template["id"],
        model_creation_parameters={"fake_fail": ""},
        display_name="Mine",
        description="An embedding model.",
        base_model_id="all-minilm",
        base_model_metadata={
            "model_developer": "me",
            "model_details": {"token_context_window": 512, "languages": 2},
            "ui_model_section_type": "CUSTOM",
        },
        model_card="# Card",
        training_data_card="none",
    )
    assert made.model_vendor == "LAUNCH"
    assert made.model_creation_parameters == {"fake_fail": ""}
    assert made.base_model_metadata.model_details.token_context_window == 512
    assert made.deployment_count == 0
    assert made.supports_multi_turn is False
    seen = client.models.retrieve(made.id)
    assert seen.model_dump() == made.model_dump()
    assert seen.deployments is None


def test_views_add_deployments(client: SGPClient, http: httpx.Client, model: dict[str, Any]) -> None:
    made = http.post(f"/v4/models/{model['id']}/deployments", json={"name": "one"}).json()
    seen = client.models.retrieve(model["id"], view=["Deployments", "ModelGroup"])
    assert [deployment.id for deployment in seen.deployments] == [made["id"]]
    assert seen.deployment_count == 1
    assert seen.model_group is None
    [listed] = [each for each in client.models.list(view=["Deployments"]) if each.id == model["id"]]
    assert [deployment.name for deployment in listed.deployments] == ["one"]


def test_an_unknown_view_is_named(http: httpx.Client, model: dict[str, Any]) -> None:
    answer = http.get(f"/v4/models/{model['id']}", params={"view": "Deployments,Everything"})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "view"]


@pytest.mark.parametrize(
    ("name", "request_", "response"),
    [
        ("smollm2-135m-instruct", {"messages": [{"role": "user", "content": "Hi"}]}, {"message": {"content": "Yo"}}),
        ("all-minilm-l6-v2", {"texts": ["a"]}, {"embeddings": [["a", [0.5]]], "tokens_used": 3}),
        ("minilm-bi-encoder", {"query": "q", "chunks": ["a"]}, {"chunk_scores": [0.5], "tokens_used": None}),
    ],
)
def test_starters_say_what_execute_takes_and_gives(
    client: SGPClient, name: str, request_: dict[str, Any], response: dict[str, Any]
) -> None:
    [starter] = [model for model in client.models.list() if model.name == name]
    jsonschema.validate(request_, starter.request_schema)
    jsonschema.validate(response, starter.response_schema)
    for wrong in ({}, {**request_, "surprise": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, starter.request_schema)
    assert starter.supports_multi_turn is (name == "smollm2-135m-instruct")
    assert starter.deployment_count == 1
    assert starter.base_model_metadata.model_license_url


def test_a_patch_of_a_model_changes_only_what_is_sent(client: SGPClient, model: dict[str, Any]) -> None:
    after = client.models.update(model["id"], description="New", base_model_metadata={"model_developer": "me"})
    assert after.description == "New"
    assert after.name == model["name"]
    again = client.models.update(model["id"], display_name="Shown")
    assert (again.description, again.display_name) == ("New", "Shown")
    assert again.base_model_metadata.model_developer == "me"


def test_null_empties_what_may_be_empty(http: httpx.Client, model: dict[str, Any]) -> None:
    assert http.patch(f"/v4/models/{model['id']}", json={"description": "New"}).status_code == 200
    assert http.patch(f"/v4/models/{model['id']}", json={"description": None}).json()["description"] is None
    refused = http.patch(f"/v4/models/{model['id']}", json={"name": None})
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "name"]


def test_new_parameters_roll_the_deployments(http: httpx.Client, model: dict[str, Any]) -> None:
    path = f"/v4/models/{model['id']}/deployments"
    made = http.post(path, json={"name": "one"}).json()
    other = http.post(path, json={"name": "two", "model_creation_parameters": {"fake_fail": "request"}}).json()
    changed = http.patch(f"/v4/models/{model['id']}", json={"model_creation_parameters": {"fake_fail": "request"}})
    assert changed.status_code == 200
    after = http.get(f"{path}/{made['id']}").json()
    assert after["status_detail"]["revision"] != made["status_detail"]["revision"]
    assert http.get(f"{path}/{other['id']}").json()["status_detail"]["revision"] == other["status_detail"]["revision"]
    renamed = http.patch(f"/v4/models/{model['id']}", json={"description": "no matter to workers"})
    assert renamed.status_code == 200
    assert http.get(f"{path}/{made['id']}").json()["status_detail"]["revision"] == after["status_detail"]["revision"]
    events = [event["kind"] for event in http.get(f"/v4/model-deployments/{made['id']}/events").json()["items"]]
    assert events == ["updated", "created"]


def test_a_new_template_rolls_the_deployments_too(http: httpx.Client, model: dict[str, Any]) -> None:
    made = http.post(f"/v4/models/{model['id']}/deployments", json={"name": "one"}).json()
    change = {"vendor_configuration": {"bundle_config": {"env": {"FLAVOUR": "new"}}}}
    assert http.patch(f"/v4/model-templates/{model['model_template_id']}", json=change).status_code == 200
    after = http.get(f"/v4/model-deployments/{made['id']}").json()
    assert after["status_detail"]["revision"] != made["status_detail"]["revision"]


def test_a_model_with_deployments_stays(client: SGPClient, http: httpx.Client, model: dict[str, Any]) -> None:
    made = http.post(f"/v4/models/{model['id']}/deployments", json={"name": "the-one"}).json()
    with pytest.raises(scale_gp.ConflictError) as raised:
        client.models.delete(model["id"])
    assert "the-one" in raised.value.message
    assert made["id"] in raised.value.message
    client.models.deployments.delete(made["id"], model_instance_id=model["id"])
    assert client.models.delete(model["id"]).count == 1
    with pytest.raises(scale_gp.NotFoundError):
        client.models.retrieve(model["id"])


def test_built_in_models_stay_as_they_are(client: SGPClient, http: httpx.Client) -> None:
    [starter] = [model for model in client.models.list() if model.name == "all-minilm-l6-v2"]
    for answer in (
        http.delete(f"/v4/models/{starter.id}"),
        http.patch(f"/v4/models/{starter.id}", json={"description": "mine"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "built_in")


@pytest.mark.parametrize(
    ("change", "loc", "words"),
    [
        ({"model_type": "RERANKING"}, ["model_type"], "makes models of type EMBEDDING"),
        ({"model_vendor": "OPENAI"}, ["model_template_id"], "answers itself"),
        ({"model_vendor": "ACME"}, ["model_vendor"], "LAUNCH"),
        ({"model_template_id": None}, ["model_template_id"], "template"),
        ({"model_template_id": "nowhere"}, ["model_template_id"], "no such template"),
        ({"model_group_id": "nowhere"}, ["model_group_id"], "no such model group"),
        ({"model_creation_parameters": {"colour": 1}}, ["model_creation_parameters", "colour"], "unknown"),
        ({"model_creation_parameters": {"fake_fail": 1}}, ["model_creation_parameters", "fake_fail"], "type str"),
        ({"model_creation_parameters": {"fake_fail": None}}, ["model_creation_parameters", "fake_fail"], "type str"),
        ({"model_creation_parameters": {"fake_fail": "x"}}, ["model_creation_parameters", "fake_fail"], "one of"),
        ({"model_creation_parameters": []}, ["model_creation_parameters"], "JSON object"),
        (
            {"base_model_metadata": {"modelDetails": {"token_context_window": 0}}},
            ["base_model_metadata", "modelDetails", "token_context_window"],
            "greater",
        ),
        ({"base_model_metadata": {"colour": 1}}, ["base_model_metadata", "colour"], "unknown field"),
        ({"name": "a\nb"}, ["name"], "match"),
        ({"name": "x" * 257}, ["name"], "at most 256"),
    ],
)
def test_what_is_wrong_with_a_model_is_named(
    http: httpx.Client,
    template: dict[str, Any],
    account: str,
    name: str,
    change: dict[str, Any],
    loc: list[str],
    words: str,
) -> None:
    body = {"account_id": account, "name": name, "model_type": "EMBEDDING", "model_template_id": template["id"]}
    answer = http.post("/v4/models", json={**body, **change})
    assert answer.status_code == 422, answer.text
    found = [each["msg"] for each in answer.json()["detail"] if each["loc"] == ["body", *loc]]
    assert found, answer.text
    assert words in found[0]
