"""Model groups, through the official client."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import scale_gp
from api_server import Running
from scale_gp import SGPClient
from usage_records import START, use


@pytest.fixture
def group(client: SGPClient, account: str, name: str) -> Iterator[Any]:
    made = client.model_groups.create(account_id=account, name=name, description="Of one base.")
    yield made
    client.model_groups.delete(made.id)


def test_a_group_lives(client: SGPClient, account: str, name: str) -> None:
    made = client.model_groups.create(account_id=account, name=name)
    assert (made.name, made.description, made.account_id) == (name, None, account)
    assert client.model_groups.retrieve(made.id).model_dump() == made.model_dump()
    assert made.id in [each.id for each in client.model_groups.list(account_id=account)]
    assert client.model_groups.update(made.id, description="New").description == "New"
    assert client.model_groups.update(made.id, name=f"{name}-2").description == "New"
    assert client.model_groups.delete(made.id).model_dump() == {"count": 1, "success": True}
    with pytest.raises(scale_gp.NotFoundError, match="no model group"):
        client.model_groups.retrieve(made.id)


def test_a_list_of_groups_has_pages(client: SGPClient, account: str, name: str) -> None:
    made = [client.model_groups.create(account_id=account, name=f"{name}-{number}").id for number in range(3)]
    seen = [each.id for each in client.model_groups.list(limit=2)]
    assert [each for each in seen if each in made] == made[::-1]
    assert client.model_groups.list(account_id="nobody's").items == []


def test_names_are_unique_in_an_account(client: SGPClient, account: str, group: Any, name: str) -> None:
    with pytest.raises(scale_gp.ConflictError) as raised:
        client.model_groups.create(account_id=account, name=group.name)
    assert raised.value.body["code"] == "name_taken"
    other = client.model_groups.create(account_id=account, name=f"{name}-other")
    with pytest.raises(scale_gp.ConflictError):
        client.model_groups.update(other.id, name=group.name)


def test_models_come_into_a_group_and_leave_it(
    client: SGPClient, http: httpx.Client, group: Any, model: dict[str, Any], account: str, name: str
) -> None:
    added = client.model_groups.models.create(model["id"], model_group_id=group.id)
    assert (added.id, added.model_group_id) == (model["id"], group.id)
    assert client.model_groups.models.create(model["id"], model_group_id=group.id).model_group_id == group.id
    assert [each.id for each in client.models.list(model_group_id=group.id)] == [model["id"]]
    seen = client.models.retrieve(model["id"], view=["ModelGroup"])
    assert seen.model_group.model_dump() == group.model_dump()
    assert client.models.retrieve(model["id"]).model_group is None
    other = client.model_groups.create(account_id=account, name=f"{name}-other")
    assert client.model_groups.models.create(model["id"], model_group_id=other.id).model_group_id == other.id
    assert http.delete(f"/v4/model-groups/{group.id}/models/{model['id']}").status_code == 404
    assert http.delete(f"/v4/model-groups/{other.id}/models/{model['id']}").json() == {"count": 1, "success": True}
    assert client.models.retrieve(model["id"]).model_group_id is None


def test_a_group_that_goes_releases_its_models(
    client: SGPClient, model: dict[str, Any], account: str, name: str
) -> None:
    group = client.model_groups.create(account_id=account, name=f"{name}-going")
    client.models.update(model["id"], model_group_id=group.id)
    client.model_groups.delete(group.id)
    assert client.models.retrieve(model["id"]).model_group_id is None


def test_models_of_a_group_have_one_base(
    client: SGPClient, http: httpx.Client, group: Any, template: dict[str, Any], account: str, name: str
) -> None:
    body = {"account_id": account, "model_type": "EMBEDDING", "model_template_id": template["id"]}
    made = [
        http.post("/v4/models", json={**body, "name": f"{name}-{base}", "base_model_id": base}).json()["id"]
        for base in ("one", "two")
    ]
    client.model_groups.models.create(made[0], model_group_id=group.id)
    with pytest.raises(scale_gp.ConflictError, match="base_model_id 'one', and this one has 'two'") as raised:
        client.model_groups.models.create(made[1], model_group_id=group.id)
    assert raised.value.body["code"] == "base_model_mismatch"
    # Alone in its group a model may change its base; with others it may not.
    assert client.models.update(made[0], base_model_id="two").base_model_id == "two"
    client.model_groups.models.create(made[1], model_group_id=group.id)
    with pytest.raises(scale_gp.ConflictError):
        client.models.update(made[0], base_model_id="three")


def test_built_in_models_join_no_group(client: SGPClient, group: Any) -> None:
    [starter] = [model for model in client.models.list() if model.name == "all-minilm-l6-v2"]
    with pytest.raises(scale_gp.PermissionDeniedError, match="built in"):
        client.model_groups.models.create(starter.id, model_group_id=group.id)


def test_usage_of_a_group_is_that_of_its_models(
    server: Running, client: SGPClient, http: httpx.Client, group: Any, model: dict[str, Any], account: str, name: str
) -> None:
    deployment = http.post(f"/v4/models/{model['id']}/deployments", json={"name": "one"}).json()
    use(server, deployment, model["name"], account, (10, 5), (4000, 7))
    use(server, deployment, model["name"], "another account", (10, 1000))
    use(server, deployment, f"{name}-another-model", account, (10, 1000))
    hours = {"chunks": 2, "start_date": START, "end_date": START + timedelta(hours=2)}
    usage = client.model_groups.usage_statistics.retrieve(group.id, **hours)
    assert [point.summary_tokens for point in usage.data] == [0, 0]
    client.model_groups.models.create(model["id"], model_group_id=group.id)
    usage = client.model_groups.usage_statistics.retrieve(group.id, **hours)
    assert [(point.prompt_tokens, point.response_tokens) for point in usage.data] == [(5, 1), (7, 1)]
    assert (usage.start_date, usage.end_date) == (usage.data[0].date, usage.data[-1].date)


def test_a_viewer_sees_groups_and_changes_none(
    http: httpx.Client, server: Running, account: str, group: Any, name: str
) -> None:
    made = http.post("/v4/api-keys", json={"account_id": account, "name": name, "role": "viewer"})
    assert made.status_code == 200, made.text
    with httpx.Client(base_url=server.url, headers={"x-api-key": made.json()["key"]}) as viewer:
        assert viewer.get(f"/v4/model-groups/{group.id}").status_code == 200
        for answer in (
            viewer.post("/v4/model-groups", json={"account_id": account, "name": f"{name}-no"}),
            viewer.patch(f"/v4/model-groups/{group.id}", json={"name": f"{name}-no"}),
            viewer.delete(f"/v4/model-groups/{group.id}"),
            viewer.post(f"/v4/model-groups/{group.id}/models/any"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "role_too_low")


def test_groups_of_other_accounts_are_unknown(http: httpx.Client, server: Running, group: Any, name: str) -> None:
    other = http.post("/accounts", json={"account_name": name}).json()["account_id"]
    made = http.post("/v4/api-keys", json={"account_id": other, "name": name, "role": "admin"})
    with httpx.Client(base_url=server.url, headers={"x-api-key": made.json()["key"]}) as stranger:
        seen = [
            stranger.get(f"/v4/model-groups/{group.id}"),
            stranger.get("/v4/model-groups/none"),
            stranger.delete(f"/v4/model-groups/{group.id}"),
            stranger.get(
                f"/v4/model-groups/{group.id}/usage-statistics?chunks=1&start_date=2026-01-01&end_date=2026-01-02"
            ),
        ]
        assert {(answer.status_code, answer.json()["code"]) for answer in seen} == {(404, "model_group_not_found")}
        assert stranger.get("/v4/model-groups").json()["items"] == []


@pytest.mark.parametrize(
    ("body", "loc"),
    [
        ({"name": ""}, ["body", "name"]),
        ({"name": "a\nb"}, ["body", "name"]),
        ({}, ["body", "name"]),
        ({"name": "x", "colour": 1}, ["body", "colour"]),
        ({"name": "x", "description": 1}, ["body", "description"]),
    ],
)
def test_what_is_wrong_with_a_group_is_named(
    http: httpx.Client, account: str, body: dict[str, Any], loc: list[str]
) -> None:
    answer = http.post("/v4/model-groups", json={"account_id": account, **body})
    assert answer.status_code == 422
    assert loc in [each["loc"] for each in answer.json()["detail"]]
