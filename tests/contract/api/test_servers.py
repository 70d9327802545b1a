"""Model servers, through the official client."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import scale_gp
from api_server import Running
from scale_gp import SGPClient


@pytest.fixture
def deploy(http: httpx.Client, model: dict[str, Any]) -> Callable[..., str]:
    def made(name: str, **more: Any) -> str:
        answer = http.post(f"/v4/models/{model['id']}/deployments", json={"name": name, **more})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    return made


@pytest.fixture
def first(deploy: Callable[..., str]) -> str:
    return deploy("first")


@pytest.fixture
def second(deploy: Callable[..., str]) -> str:
    return deploy("second")


@pytest.fixture
def server_(client: SGPClient, first: str, name: str) -> Any:
    return client.model_servers.create(model_deployment_id=first, name=f"{name} shown", alias=name)


def test_a_server_lives(client: SGPClient, http: httpx.Client, server_: Any, first: str, account: str) -> None:
    id_ = server_.model_server_id
    assert (server_.model_deployment_id, server_.account_id) == (first, account)
    assert client.model_servers.retrieve(id_).model_dump() == server_.model_dump()
    assert client.alias.retrieve(server_.alias).model_dump() == server_.model_dump()
    assert client.model_servers.deployment.retrieve(id_).model_deployment_id == first
    assert id_ in [each.model_server_id for each in client.model_servers.list()]
    changed = http.patch(f"/v4/serving/{id_}", json={"name": "Renamed", "alias": None}).json()
    assert (changed["name"], changed["alias"]) == ("Renamed", None)
    with pytest.raises(scale_gp.NotFoundError):
        client.alias.retrieve(server_.alias)
    assert http.delete(f"/v4/serving/{id_}").json() == {"count": 1, "success": True}
    with pytest.raises(scale_gp.NotFoundError, match="no model server"):
        client.model_servers.retrieve(id_)


def test_a_server_needs_no_alias(client: SGPClient, first: str, name: str) -> None:
    for number in range(2):
        assert client.model_servers.create(model_deployment_id=first, name=f"{name}{number}").alias is None


def test_the_list_is_an_array_that_says_how_long_it_is(http: httpx.Client, server_: Any) -> None:
    answer = http.get("/v4/serving", params={"limit": 1})
    assert [each["model_server_id"] for each in answer.json()] == [server_.model_server_id]
    assert int(answer.headers["x-total-count"]) >= 1
    assert http.get("/v4/serving", params={"account_id": "nobody's"}).json() == []
    assert http.get("/v4/serving", params={"sort_by": "colour:asc"}).status_code == 422


def test_backends_are_swapped_and_rolled_back(client: SGPClient, server_: Any, first: str, second: str) -> None:
    id_ = server_.model_server_id
    swapped = client.model_servers.update_backend(id_, new_model_deployment_id=second)
    assert (swapped.old_model_deployment_id, swapped.new_model_deployment_id) == (first, second)
    assert (swapped.model_deployment_id, swapped.alias) == (second, server_.alias)
    again = client.model_servers.update_backend(id_, new_model_deployment_id=second)
    assert again.model_dump() == swapped.model_dump(), "repeating it changes nothing"
    back = client.model_servers.rollback(id_)
    assert (back.from_deployment, back.rolled_back_to_deployment) == (second, first)
    assert client.model_servers.deployment.retrieve(id_).model_deployment_id == first
    with pytest.raises(scale_gp.ConflictError) as raised:
        client.model_servers.rollback(id_)
    assert raised.value.body["code"] == "no_earlier_backend"
    assert raised.value.response.headers["x-should-retry"] == "false"


def test_a_repeated_rollback_goes_back_once(
    client: SGPClient, http: httpx.Client, server_: Any, deploy: Callable[..., str], first: str, second: str
) -> None:
    id_ = server_.model_server_id
    for deployment in (second, deploy("third")):
        client.model_servers.update_backend(id_, new_model_deployment_id=deployment)
    path = f"/v4/serving/{id_}/rollback"
    answers = [http.post(path, headers={"x-stainless-retry-count": str(number)}).json() for number in range(3)]
    assert [answer["rolled_back_to_deployment"] for answer in answers] == [second] * 3
    assert http.post(path).json()["rolled_back_to_deployment"] == first


def test_shares_are_ours(client: SGPClient, http: httpx.Client, server_: Any, first: str, second: str) -> None:
    id_ = server_.model_server_id
    shares = [{"model_deployment_id": first, "weight": 10}, {"model_deployment_id": second, "weight": 90}]
    changed = http.patch(f"/v4/serving/{id_}", json={"backends": shares}).json()
    assert changed["backends"] == shares
    assert client.model_servers.retrieve(id_).model_deployment_id == second, "the one with the largest share"
    assert http.patch(f"/v4/serving/{id_}", json={"name": "same shares"}).json()["backends"] == shares
    back = client.model_servers.rollback(id_)
    assert (back.from_deployment, back.rolled_back_to_deployment) == (second, first)


def test_a_deployment_behind_a_server_stays(
    client: SGPClient, server_: Any, model: dict[str, Any], first: str, second: str
) -> None:
    with pytest.raises(scale_gp.ConflictError) as raised:
        client.models.deployments.delete(first, model_instance_id=model["id"])
    assert raised.value.body["code"] == "backend_in_use"
    assert server_.model_server_id in raised.value.message
    client.model_servers.update_backend(server_.model_server_id, new_model_deployment_id=second)
    assert client.models.deployments.delete(first, model_instance_id=model["id"]).success
    # What is gone is nothing to go back to.
    with pytest.raises(scale_gp.ConflictError):
        client.model_servers.rollback(server_.model_server_id)


def test_what_cannot_answer_comes_behind_no_server(
    client: SGPClient, deploy: Callable[..., str], server_: Any, name: str
) -> None:
    fails = deploy("fails", model_creation_parameters={"fake_fail": "load"}, wait_for_ready=False)
    for attempt in (
        lambda: client.model_servers.update_backend(server_.model_server_id, new_model_deployment_id=fails),
        lambda: client.model_servers.create(model_deployment_id=fails, name=f"{name} 2"),
    ):
        with pytest.raises(scale_gp.ConflictError, match="is UPDATE_") as raised:
            attempt()
        assert raised.value.body["code"] == "backend_not_ready"


def test_a_built_in_deployment_may_stand_behind_a_server_of_ones_own(
    client: SGPClient, account: str, name: str, server_: Any
) -> None:
    [starter] = [each for each in client.models.list(view=["Deployments"]) if each.name == "minilm-bi-encoder"]
    made = client.model_servers.create(model_deployment_id=starter.deployments[0].id, name=f"{name} 2")
    assert made.account_id == account
    with pytest.raises(scale_gp.UnprocessableEntityError, match="EMBEDDING"):
        client.model_servers.update_backend(server_.model_server_id, new_model_deployment_id=starter.deployments[0].id)


def test_a_repeated_create_makes_one(http: httpx.Client, first: str, name: str) -> None:
    body = {"name": name, "model_deployment_id": first}
    made = http.post("/v4/serving", json=body).json()
    again = http.post("/v4/serving", json=body, headers={"x-stainless-retry-count": "1"})
    assert again.json() == made
    taken = http.post("/v4/serving", json=body)
    assert (taken.status_code, taken.json()["code"]) == (409, "name_taken")


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"name": ""}, ["body", "name"]),
        ({"alias": "a/b"}, ["body", "alias"]),
        ({"alias": ""}, ["body", "alias"]),
        ({"alias": "execute"}, ["body", "alias"]),
        ({"alias": "end\n"}, ["body", "alias"]),
        ({"alias": 1}, ["body", "alias"]),
        ({"model_deployment_id": "nowhere"}, ["body", "model_deployment_id"]),
        ({"model_deployment_id": None}, ["body", "model_deployment_id"]),
        ({"colour": 1}, ["body", "colour"]),
    ],
)
def test_what_is_wrong_with_a_server_is_named(
    http: httpx.Client, first: str, name: str, change: dict[str, Any], loc: list[str]
) -> None:
    answer = http.post("/v4/serving", json={"name": name, "model_deployment_id": first, **change})
    assert answer.status_code == 422, answer.text
    assert loc in [each["loc"] for each in answer.json()["detail"]]


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ([], "at least 1 item"),
        ([{"model_deployment_id": "A", "weight": 0}], "weight above 0"),
        ([{"model_deployment_id": "A"}, {"model_deployment_id": "A"}], "twice"),
        ([{"model_deployment_id": "A", "weight": -1}], "greater than or equal to 0"),
        ([{"model_deployment_id": "A", "weight": 0.5}], "integer"),
        ([{"model_deployment_id": "nowhere"}], "no deployment 'nowhere'"),
        ([{"model_deployment_id": "A"}] * 11, "at most 10"),
    ],
)
def test_what_is_wrong_with_shares_is_named(
    http: httpx.Client, server_: Any, first: str, shares: list[dict[str, Any]], words: str
) -> None:
    meant = [{**each, "model_deployment_id": each["model_deployment_id"].replace("A", first)} for each in shares]
    answer = http.patch(f"/v4/serving/{server_.model_server_id}", json={"backends": meant})
    assert answer.status_code == 422, answer.text
    assert words in answer.text


def test_servers_of_other_accounts_are_unknown(
    http: httpx.Client, server: Running, server_: Any, first: str, name: str
) -> None:
    other = http.post("/accounts", json={"account_name": name}).json()["account_id"]
    made = http.post("/v4/api-keys", json={"account_id": other, "name": name, "role": "admin"})
    id_ = server_.model_server_id
    with httpx.Client(base_url=server.url, headers={"x-api-key": made.json()["key"]}) as stranger:
        seen = [
            stranger.get(f"/v4/serving/{id_}"),
            stranger.get("/v4/serving/none"),
            stranger.get(f"/v4/serving/a/{server_.alias}"),
            stranger.delete(f"/v4/serving/{id_}"),
            stranger.post(f"/v4/serving/{id_}/rollback"),
            stranger.put(f"/v4/serving/{id_}/backend", json={"new_model_deployment_id": first}),
        ]
        assert {(answer.status_code, answer.json()["code"]) for answer in seen} == {(404, "model_server_not_found")}
        assert stranger.get("/v4/serving").json() == []
        mine = stranger.post("/v4/serving", json={"name": "x", "model_deployment_id": first})
        assert (mine.status_code, mine.json()["code"]) == (422, "deployment_not_found")


def test_a_member_calls_servers_and_changes_none(
    http: httpx.Client, server: Running, server_: Any, account: str
) -> None:
    made = http.post("/v4/api-keys", json={"account_id": account, "name": "m", "role": "member"})
    path = f"/v4/serving/{server_.model_server_id}"
    with httpx.Client(base_url=server.url, headers={"x-api-key": made.json()["key"]}) as member:
        assert member.get(path).status_code == 200
        for answer in (
            member.patch(path, json={"name": "x"}),
            member.delete(path),
            member.post(f"{path}/rollback"),
            member.put(f"{path}/backend", json={"new_model_deployment_id": "x"}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (403, "role_too_low")


@pytest.fixture
def deployed(http: httpx.Client, template: dict[str, Any], name: str) -> Callable[..., tuple[str, str]]:
    """Makes a model of its own with a deployment; gives both ids."""

    def made(what: str, **more: Any) -> tuple[str, str]:
        called = f"{name}-{what}"
        body = {key: template[key] for key in ("model_type", "account_id")}
        body |= {"name": called, "model_template_id": template["id"], **more}
        model = http.post("/v4/models", json=body)
        assert model.status_code == 200, model.text
        id_ = model.json()["id"]
        deployment = http.post(f"/v4/models/{id_}/deployments", json={"name": called})
        assert deployment.status_code == 200, deployment.text
        return id_, deployment.json()["id"]

    return made


Deployed = Callable[..., tuple[str, str]]


def test_a_server_has_fallbacks_of_its_own(
    client: SGPClient, http: httpx.Client, deployed: Deployed, first: str, second: str, name: str
) -> None:
    _, spare = deployed("spare")
    made = client.model_servers.create(
        model_deployment_id=first, name=name, alias=name, extra_body={"fallbacks": [f"{name}-spare", spare]}
    )
    path = f"/v4/serving/{made.model_server_id}"
    assert http.get(path).json()["fallbacks"] == [spare]
    assert client.model_servers.retrieve(made.model_server_id).name == name
    # What is behind it is swapped and rolled back without them.
    client.model_servers.update_backend(made.model_server_id, new_model_deployment_id=second)
    client.model_servers.rollback(made.model_server_id)
    assert http.patch(path, json={"name": f"{name} 2"}).json()["fallbacks"] == [spare]
    assert http.patch(path, json={"fallbacks": None}).json()["fallbacks"] == []


def test_what_is_wrong_with_a_servers_fallbacks_is_named(http: httpx.Client, server_: Any, first: str) -> None:
    path = f"/v4/serving/{server_.model_server_id}"
    for fallbacks, code in (
        (["nowhere"], "fallback_not_found"),
        (["minilm-bi-encoder"], "model_type_mismatch"),
        ([first], "fallback_cycle"),
    ):
        answer = http.patch(path, json={"fallbacks": fallbacks})
        assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
        assert answer.json()["detail"][0]["loc"] == ["body", "fallbacks", 0]
    assert http.patch(path, json={"fallbacks": [f"x{number}" for number in range(9)]}).status_code == 422


def test_nothing_closes_a_circle_through_a_server(
    client: SGPClient, http: httpx.Client, deployed: Deployed, name: str
) -> None:
    (a_model, a), (b_model, b), (c_model, c) = (deployed(what) for what in "abc")
    server_id = client.model_servers.create(model_deployment_id=a, name=name).model_server_id
    path = f"/v4/serving/{server_id}"
    # The server leads to b, and b to c.
    assert http.patch(path, json={"fallbacks": [b]}).status_code == 200
    assert http.patch(f"/v4/models/{b_model}", json={"fallbacks": [c]}).status_code == 200

    def refused(answer: httpx.Response, loc: list[Any], *way: str) -> None:
        assert (answer.status_code, answer.json()["code"]) == (422, "fallback_cycle"), answer.text
        assert answer.json()["detail"][0]["loc"] == loc
        assert " → ".join(f"'{each}'" for each in way) in answer.json()["detail"][0]["msg"]

    last = f"{name}-b", f"{name}-c"
    # A model's fallbacks, whose owner need not know of the server.
    refused(
        http.patch(f"/v4/models/{c_model}", json={"fallbacks": [a]}), ["body", "fallbacks", 0], name, *last, f"{name}-a"
    )
    # What is behind the server: put there alone, beside another one, or by going back.
    new = {"new_model_deployment_id": c}
    refused(http.put(f"{path}/backend", json=new), ["body", "new_model_deployment_id"], name, *last)
    shares = {"backends": [{"model_deployment_id": a}, {"model_deployment_id": c}]}
    refused(http.patch(path, json=shares), ["body", "backends"], name, *last)
    assert http.patch(path, json={"fallbacks": [], **shares}).status_code == 200
    refused(http.patch(path, json={"fallbacks": [b]}), ["body", "fallbacks", 0], name, *last)
    client.model_servers.update_backend(server_id, new_model_deployment_id=a)
    assert http.patch(path, json={"fallbacks": [b]}).status_code == 200
    refused(http.post(f"{path}/rollback"), ["path", "model_server_id"], name, *last)
    assert client.model_servers.deployment.retrieve(server_id).model_deployment_id == a
    # A server with them from its beginning.
    refused(
        http.post("/v4/serving", json={"name": f"{name} 2", "model_deployment_id": c, "fallbacks": [b]}),
        ["body", "fallbacks", 0],
        f"{name} 2",
        *last,
    )
    # The other way round is none: whoever calls a never comes to the server.
    made = http.post("/v4/serving", json={"name": f"{name} 3", "model_deployment_id": b, "fallbacks": [a]})
    assert made.status_code == 200, made.text
    assert http.patch(f"/v4/models/{a_model}", json={"fallbacks": [c]}).status_code == 200


def test_any_type_of_model_falls_back(http: httpx.Client, template: dict[str, Any], name: str) -> None:
    bundle = {"bundle_config": {"registry": "modelyard", "image": "fake", "tag": "latest"}}
    for model_type in ("GENERIC", "AGENT", "BUNDLE"):
        called = f"{name}-{model_type}"
        common = {"model_type": model_type, "account_id": template["account_id"]}
        body = {**common, "name": called, "endpoint_type": "SYNC", "vendor_configuration": bundle}
        own = http.post("/v4/model-templates", json=body)
        assert own.status_code == 200, own.text
        common["model_template_id"] = own.json()["id"]
        spare = http.post("/v4/models", json={**common, "name": called}).json()["id"]
        made = http.post(f"/v4/models/{spare}/deployments", json={"name": called, "wait_for_ready": False})
        model = http.post("/v4/models", json={**common, "name": f"{called}-2", "fallbacks": [called]})
        assert model.status_code == 200, model.text
        assert model.json()["fallbacks"] == [made.json()["id"]]
