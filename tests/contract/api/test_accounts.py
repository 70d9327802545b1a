"""Who am I, accounts, and keys with their roles."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import scale_gp
from api_server import KEY, Running
from scale_gp import SGPClient


def as_key(server: Running, key: str) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers={"x-api-key": key}, timeout=30)


def new_key(http: httpx.Client, role: str, **more: Any) -> dict[str, Any]:
    answer = http.post("/v4/api-keys", json={"name": role, "role": role, **more})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_who_am_i(client: SGPClient, http: httpx.Client, account: str) -> None:
    me = client.users.info()
    assert me.is_deployment_admin
    profile = next(each for each in me.access_profiles if each.account.id == account)
    assert (profile.role, profile.identity.id, profile.identity.type) == ("admin", me.id, "user")
    assert profile.account.status == "active"
    assert client.users.retrieve(me.id).email == me.email
    assert http.get("/v4/user-info").json()["id"] == http.get(f"/v4/users/{me.id}").json()["id"] == me.id


def test_an_account_is_there_at_once(client: SGPClient, http: httpx.Client, fake_template: dict[str, Any]) -> None:
    made = client.accounts.create(account_name="second")
    template = client.model_templates.create(**{**fake_template, "account_id": made.account_id})
    assert template.account_id == made.account_id
    # This client selected the default account, whose entities alone it sees.
    with pytest.raises(scale_gp.NotFoundError):
        client.model_templates.retrieve(template.id)
    assert http.get(f"/v4/model-templates/{template.id}").status_code == 200
    nameless = http.post("/v4/model-templates", json={**fake_template, "account_id": None})
    assert nameless.status_code == 400
    assert nameless.json()["code"] == "account_missing"
    chosen = http.post(
        "/v4/model-templates",
        json={**fake_template, "account_id": None, "name": fake_template["name"] + "-2"},
        headers={"x-selected-account-id": made.account_id},
    )
    assert chosen.json()["account_id"] == made.account_id


def test_a_key_s_only_account_needs_no_saying(
    server: Running, http: httpx.Client, fake_template: dict[str, Any], account: str
) -> None:
    with as_key(server, new_key(http, "editor", account_id=account)["key"]) as editor:
        del fake_template["account_id"]
        assert editor.post("/v4/model-templates", json=fake_template).json()["account_id"] == account


def test_roles_allow_what_they_say(server: Running, http: httpx.Client, model: dict[str, Any], account: str) -> None:
    path = f"/v4/models/{model['id']}"
    allowed = {}
    for role in ("viewer", "member", "editor", "manager"):
        with as_key(server, new_key(http, role, account_id=account)["key"]) as caller:
            allowed[role] = (
                caller.get(path).status_code,
                caller.patch(path, json={"description": role}).status_code,
                caller.post("/v4/api-keys", json={"name": "another"}).status_code,
                caller.post("/accounts", json={"account_name": "mine"}).status_code,
            )
    assert allowed == {
        "viewer": (200, 403, 403, 403),
        "member": (200, 403, 403, 403),
        "editor": (200, 200, 403, 403),
        "manager": (200, 200, 200, 403),
    }


def test_a_refusal_says_which_role_would_do(
    server: Running, http: httpx.Client, model: dict[str, Any], account: str
) -> None:
    with as_key(server, new_key(http, "member", account_id=account)["key"]) as member:
        detail = member.delete(f"/v4/models/{model['id']}").json()
    assert detail["code"] == "role_too_low"
    assert "editor" in detail["detail"]


def test_other_accounts_things_do_not_exist(
    server: Running, http: httpx.Client, model: dict[str, Any], template: dict[str, Any], account: str, name: str
) -> None:
    deployment = http.post(f"/v4/models/{model['id']}/deployments", json={"name": "one"}).json()
    colleague = new_key(http, "viewer", account_id=account)["identity_id"]
    elsewhere = http.post("/accounts", json={"account_name": name}).json()["account_id"]
    with as_key(server, new_key(http, "admin", account_id=elsewhere)["key"]) as stranger:
        usage = "usage-statistics?chunks=1&start_date=2026-01-01&end_date=2026-01-02"
        for method, path in (
            ("GET", f"/v4/models/{model['id']}"),
            ("PATCH", f"/v4/models/{model['id']}"),
            ("DELETE", f"/v4/models/{model['id']}"),
            ("GET", f"/v4/models/{model['id']}/deployments"),
            ("GET", f"/v4/models/{model['id']}/deployments/{deployment['id']}"),
            ("PATCH", f"/v4/models/{model['id']}/deployments/{deployment['id']}"),
            ("DELETE", f"/v4/models/{model['id']}/deployments/{deployment['id']}"),
            ("GET", f"/v4/model-deployments/{deployment['id']}"),
            ("GET", f"/v4/model-deployments/{deployment['id']}/logs"),
            ("GET", f"/v4/model-deployments/{deployment['id']}/events"),
            ("GET", f"/v4/model-deployments/{deployment['id']}/{usage}"),
            ("GET", f"/v4/models/{model['name']}/{usage}"),
            ("GET", f"/v4/model-templates/{template['id']}"),
            ("PATCH", f"/v4/model-templates/{template['id']}"),
            ("DELETE", f"/v4/model-templates/{template['id']}"),
            ("GET", f"/users/{colleague}"),
        ):
            body = {"json": {}} if method == "PATCH" else {}
            theirs = stranger.request(method, path, **body)
            unknown = stranger.request(method, path.replace(_id_in(path), "0" * 36), **body)
            assert theirs.status_code == unknown.status_code == 404, (method, path, theirs.text)
            assert theirs.json()["code"] == unknown.json()["code"]
        created = stranger.post(f"/v4/models/{model['id']}/deployments", json={"name": "mine"})
        assert created.status_code == 404
        stolen = {"name": name, "model_type": "EMBEDDING", "model_template_id": template["id"]}
        assert stranger.post("/v4/models", json=stolen).status_code == 422
        for header in (account, "0" * 36):
            answer = stranger.get("/v4/models", headers={"x-selected-account-id": header})
            assert (answer.status_code, answer.json()["code"]) == (404, "account_not_found")
        assert stranger.post("/v4/models", json={**stolen, "account_id": account}).status_code == 404
        assert {each["account_id"] for each in stranger.get("/v4/models").json()["items"]} == {
            "00000000-0000-4000-8000-000000000001"
        }
        keys = stranger.get("/v4/api-keys").json()["items"]
        assert {each["account_id"] for key in keys for each in key["memberships"]} == {elsewhere}


def _id_in(path: str) -> str:
    return path.split("?")[0].split("/")[3 if path.startswith("/v4") else 2]


def test_a_key_is_shown_once_and_listed_without_its_secret(http: httpx.Client, account: str) -> None:
    made = new_key(http, "viewer", account_id=account)
    assert made["key"].startswith(made["prefix"])
    assert made["key"].startswith("my_")
    listed = {key["id"]: key for key in http.get("/v4/api-keys").json()["items"]}
    assert listed[made["id"]] == {field: value for field, value in made.items() if field != "key"}


def test_a_revoked_key_is_an_unknown_key(server: Running, http: httpx.Client, account: str) -> None:
    made = new_key(http, "viewer", account_id=account)
    with as_key(server, made["key"]) as caller:
        assert caller.get("/user-info").status_code == 200
        assert http.delete(f"/v4/api-keys/{made['id']}").json() == {"count": 1, "success": True}
        after = caller.get("/user-info")
        caller.headers["x-api-key"] = "wrong"
        unknown = caller.get("/user-info")
    assert after.status_code == 401
    assert {**after.json(), "request_id": ""} == {**unknown.json(), "request_id": ""}
    assert http.delete(f"/v4/api-keys/{made['id']}").status_code == 404


def test_an_expired_key_is_an_unknown_key(server: Running, http: httpx.Client, account: str) -> None:
    end = datetime.now(UTC) + timedelta(seconds=1.2)
    made = new_key(http, "viewer", account_id=account, expires_at=end.isoformat())
    with as_key(server, made["key"]) as caller:
        assert caller.get("/user-info").status_code == 200
        while datetime.now(UTC) <= end:
            time.sleep(0.05)
        assert caller.get("/user-info").status_code == 401


def test_a_key_cannot_have_ended_before_it_begins(http: httpx.Client, account: str) -> None:
    answer = http.post("/v4/api-keys", json={"name": "x", "account_id": account, "expires_at": "2020-01-01T00:00:00Z"})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "expires_at"]
    naive = http.post("/v4/api-keys", json={"name": "x", "account_id": account, "expires_at": "2120-01-01T00:00:00"})
    assert naive.status_code == 422


def test_a_manager_does_not_revoke_the_administrator_s_key(server: Running, http: httpx.Client, account: str) -> None:
    mine = next(key for key in http.get("/v4/api-keys").json()["items"] if key["name"] == "administrator")
    with as_key(server, new_key(http, "manager", account_id=account)["key"]) as manager:
        answer = manager.delete(f"/v4/api-keys/{mine['id']}")
    assert answer.status_code == 403
    assert http.get("/user-info", headers={"x-api-key": KEY}).status_code == 200


def test_people_see_who_shares_an_account_with_them(server: Running, http: httpx.Client, account: str) -> None:
    made = new_key(http, "viewer", account_id=account)
    [profile] = http.get(f"/users/{made['identity_id']}").json()["access_profiles"]
    assert (profile["role"], profile["identity"]["type"]) == ("viewer", "service_account")
    assert http.get("/users/nobody").json()["code"] == "user_not_found"
