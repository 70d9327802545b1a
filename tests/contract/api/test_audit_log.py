"""Every change leaves an entry: who, when, what, before and after, without secrets; nothing else does."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from api_server import Running


def entries(http: httpx.Client, **query: Any) -> list[dict[str, Any]]:
    answer = http.get("/v4/audit-log", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def as_key(server: Running, key: str) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers={"x-api-key": key}, timeout=30)


def test_a_change_tells_who_what_before_and_after(
    http: httpx.Client, model: dict[str, Any], account: str, name: str
) -> None:
    me = http.get("/user-info").json()["id"]
    answer = http.patch(f"/v4/models/{model['id']}", json={"description": "new"}, headers={"x-request-id": name})
    assert answer.status_code == 200
    [entry] = entries(http, request_id=name)
    assert entry["actor"]["identity_id"] == me
    key = http.get(f"/v4/api-keys/{entry['actor']['key_id']}").json()
    assert key["name"] == "administrator"
    assert (entry["action"], entry["entity_type"], entry["entity_id"]) == ("changed", "model", model["id"])
    assert (entry["before"], entry["after"]) == ({"description": None}, {"description": "new"})
    assert entry["account_id"] == account
    created, changed = entries(http, entity_id=model["id"], sort_by="id:asc")
    assert (created["action"], created["before"], created["after"]["name"]) == ("created", None, model["name"])
    assert changed == entry
    http.delete(f"/v4/models/{model['id']}")
    last = entries(http, entity_id=model["id"])[0]
    assert (last["action"], last["before"]["description"], last["after"]) == ("deleted", "new", None)


def test_what_changes_nothing_or_fails_leaves_no_entry(http: httpx.Client, model: dict[str, Any], name: str) -> None:
    headers = {"x-request-id": name}
    path = f"/v4/models/{model['id']}"
    assert http.get(path, headers=headers).status_code == 200
    assert http.patch(path, json={"description": None}, headers=headers).status_code == 200
    assert http.patch(path, json={"model_group_id": "0" * 36}, headers=headers).status_code in (404, 422)
    assert http.patch(path, json={"shoe_size": 1}, headers=headers).status_code == 422
    assert entries(http, request_id=name) == []


def test_a_deployment_s_life(http: httpx.Client, model: dict[str, Any]) -> None:
    path = f"/v4/models/{model['id']}/deployments"
    made = http.post(path, json={"name": "main"}).json()
    numbers = {"vendor": "LAUNCH", "min_workers": 1, "max_workers": 2, "per_worker": 10}
    http.patch(f"{path}/{made['id']}", json={"vendor_configuration": numbers})
    http.delete(f"{path}/{made['id']}")
    told = entries(http, entity_id=made["id"], sort_by="id:asc")
    assert [each["action"] for each in told] == ["created", "changed", "deleted"]
    assert told[1]["after"]["max_workers"] == 2
    assert (told[2]["before"], told[2]["after"]) == ({"deleted": False}, {"deleted": True})
    assert {each["actor"]["identity_type"] for each in told} == {"user"}, "nor does what the reconciler does"


def test_people_and_keys(server: Running, http: httpx.Client, name: str) -> None:
    team = http.post("/accounts", json={"account_name": name}).json()["account_id"]
    key = http.post("/v4/api-keys", json={"name": name, "account_id": team, "role": "editor"}).json()
    with as_key(server, key["key"]) as caller:
        again = caller.post(f"/v4/api-keys/{key['id']}/rotate", json={}).json()
    http.patch(f"/v4/api-keys/{key['id']}", json={"scopes": ["read"]})
    http.patch(f"/v4/service-accounts/{key['identity_id']}", json={"role": "viewer"})
    http.delete(f"/v4/service-accounts/{key['identity_id']}")
    told = entries(http, account_id=team, sort_by="id:asc")
    assert [(each["entity_type"], each["action"]) for each in told] == [
        ("account", "created"),
        ("member", "created"),
        ("user", "created"),
        ("member", "created"),
        ("api_key", "created"),
        ("api_key", "rotated"),
        ("api_key", "changed"),
        ("member", "changed"),
        ("api_key", "revoked"),
        ("member", "deleted"),
    ]
    rotated, changed, role = told[5:8]
    assert rotated["actor"] == {
        "identity_id": key["identity_id"],
        "identity_type": "service_account",
        "key_id": key["id"],
    }
    assert rotated["before"] == {"earlier_ends_at": None}
    assert datetime.fromisoformat(rotated["after"]["earlier_ends_at"]) > datetime.now(UTC)
    assert (changed["before"], changed["after"]) == ({"scopes": None}, {"scopes": ["read"]})
    assert (role["before"], role["after"]) == ({"role": "editor"}, {"role": "viewer"})
    assert role["entity_id"] == key["identity_id"]
    text = str(told)
    for secret in (key["key"], again["key"], key["key"][-49:], "digest"):
        assert secret not in text


def test_secrets_in_what_changed_are_masked(http: httpx.Client, fake_template: dict[str, Any]) -> None:
    env = {"HF_TOKEN": "tok-secret", "MODE": "fast"}
    fake_template["vendor_configuration"]["bundle_config"]["env"] = env
    made = http.post("/v4/model-templates", json=fake_template).json()
    [entry] = entries(http, entity_id=made["id"])
    assert entry["after"]["bundle"]["env"] == {"HF_TOKEN": "***", "MODE": "fast"}


def test_it_is_for_admins_of_the_account_alone(server: Running, http: httpx.Client, name: str) -> None:
    mine, theirs = (http.post("/accounts", json={"account_name": name}).json()["account_id"] for _ in range(2))
    boss = http.post("/v4/api-keys", json={"name": "x", "account_id": mine, "role": "admin"}).json()
    manager = http.post("/v4/api-keys", json={"name": "x", "account_id": mine, "role": "manager"}).json()
    with as_key(server, boss["key"]) as caller:
        assert {each["account_id"] for each in entries(caller)} == {mine}
        hidden = caller.get("/v4/audit-log", params={"account_id": theirs})
        unknown = caller.get("/v4/audit-log", params={"account_id": "0" * 36})
        assert (hidden.status_code, hidden.json()["code"]) == (404, "account_not_found")
        assert unknown.json()["code"] == hidden.json()["code"]
    with as_key(server, manager["key"]) as caller:
        for query in ({}, {"account_id": mine}):
            refused = caller.get("/v4/audit-log", params=query)
            assert (refused.status_code, refused.json()["code"]) == (403, "role_too_low")


def test_it_is_filtered_and_paged(http: httpx.Client, account: str, name: str) -> None:
    before = datetime.now(UTC)
    robots = [http.post("/v4/service-accounts", json={"name": name, "account_id": account}).json() for _ in range(3)]
    after = datetime.now(UTC) + timedelta(seconds=1)
    between = {"start_date": before.isoformat(), "end_date": after.isoformat(), "entity_type": "member"}
    found = entries(http, **between, action="created")
    assert [each["entity_id"] for each in found] == [robot["id"] for robot in reversed(robots)]
    page = http.get("/v4/audit-log", params={**between, "limit": 2, "page": 2}).json()
    assert (page["total_item_count"], len(page["items"]), page["current_page"]) == (3, 1, 2)
    assert entries(http, entity_id=robots[0]["id"], actor_id="0" * 36) == []
    assert entries(http, start_date=after.isoformat(), entity_id=robots[0]["id"]) == []
    far = (before - timedelta(days=1)).astimezone(UTC).isoformat()
    assert entries(http, end_date=far, entity_id=robots[0]["id"]) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"start_date": "2026-01-02T00:00:00Z", "end_date": "2026-01-01T00:00:00Z"}, "end_date"),
        ({"start_date": "2026-01-01T00:00:00Z", "end_date": "2026-01-01T01:00:00+01:00"}, "end_date"),
        ({"start_date": "yesterday"}, "start_date"),
        ({"limit": 10_001}, "limit"),
        ({"sort_by": "before"}, "sort_by"),
        ({"color": "red"}, "color"),
    ],
)
def test_bad_queries_are_named(http: httpx.Client, query: dict[str, Any], field: str) -> None:
    answer = http.get("/v4/audit-log", params=query)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", field]


def test_there_is_no_way_to_change_or_delete_it(http: httpx.Client) -> None:
    [entry, *_] = entries(http, limit=1)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert http.request(method, "/v4/audit-log").status_code == 405
        assert http.request(method, f"/v4/audit-log/{entry['id']}").status_code == 404


def test_the_first_administrator_is_told_of_too(http: httpx.Client, account: str) -> None:
    first = entries(http, entity_id=account, action="created")[-1]
    assert first["actor"]["identity_type"] == "system"
