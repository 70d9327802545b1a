"""/v4/limits: set by those who administer an account, and named in words where they are wrong."""

from typing import Any

import httpx
import pytest
from api_server import Running


@pytest.fixture
def limit(http: httpx.Client, account: str, name: str) -> dict[str, Any]:
    body = {
        "account_id": account,
        "name": name,
        "subject": "account",
        "subject_id": account,
        "calls_per_minute": 100_000,
        "dollars_per_month": "1000000.50",
    }
    answer = http.post("/v4/limits", json=body)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_it_is_made_read_changed_and_deleted(http: httpx.Client, limit: dict[str, Any], name: str) -> None:
    path = f"/v4/limits/{limit['id']}"
    assert http.get(path).json() == limit
    assert limit in http.get("/v4/limits").json()["items"]
    assert (limit["dollars_per_month"], limit["tokens_per_minute"], limit["on_exceeded"]) == (
        "1000000.5",
        None,
        "reject",
    )
    changed = http.patch(path, json={"calls_per_minute": None, "tokens_per_minute": 5_000_000, "priority": 7}).json()
    assert changed == {**limit, "calls_per_minute": None, "tokens_per_minute": 5_000_000, "priority": 7}
    assert http.delete(path).json() == {"count": 1, "success": True}
    assert (http.get(path).status_code, http.get(path).json()["code"]) == (404, "limit_not_found")


def test_its_name_is_taken_once(http: httpx.Client, limit: dict[str, Any], account: str, name: str) -> None:
    body = {"account_id": account, "name": name, "subject": "account", "subject_id": account, "calls_per_minute": 9}
    again = http.post("/v4/limits", json=body)
    assert (again.status_code, again.json()["code"]) == (409, "name_taken")


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"calls_per_minute": -1}, ["body", "calls_per_minute"]),
        ({"calls_per_minute": "many"}, ["body", "calls_per_minute"]),
        ({"dollars_per_day": "0.0000000001"}, ["body", "dollars_per_day"]),
        ({"dollars_per_day": "a lot"}, ["body", "dollars_per_day"]),
        ({"dollars_per_month": "99999999"}, ["body", "dollars_per_month"]),
        ({"calls_per_minute": None}, ["body"]),
        ({"priority": 101}, ["body", "priority"]),
        ({"on_exceeded": "shout"}, ["body", "on_exceeded"]),
        ({"subject": "planet"}, ["body", "subject"]),
        ({"subject": "key", "subject_id": "nobody's"}, ["body", "subject_id"]),
        ({"subject": "identity", "subject_id": "nobody"}, ["body", "subject_id"]),
        ({"subject": "model", "subject_id": "none"}, ["body", "subject_id"]),
        ({"subject_id": "another account"}, ["body", "subject_id"]),
        ({"per_second": 1}, ["body", "per_second"]),
    ],
)
def test_what_is_wrong_is_named(
    http: httpx.Client, account: str, name: str, change: dict[str, Any], loc: list[str]
) -> None:
    body = {"account_id": account, "name": name, "subject": "account", "subject_id": account, "calls_per_minute": 9}
    answer = http.post("/v4/limits", json={**body, **change})
    assert answer.status_code == 422, answer.text
    assert loc in [error["loc"] for error in answer.json()["detail"]]


def test_only_administrators_set_limits_and_strangers_see_none(
    server: Running, http: httpx.Client, limit: dict[str, Any], account: str, name: str
) -> None:
    def key(account_id: str, role: str) -> httpx.Client:
        body = {"account_id": account_id, "name": f"{name}-{role}", "role": role}
        secret = http.post("/v4/api-keys", json=body).json()["key"]
        return httpx.Client(base_url=server.url, headers={"x-api-key": secret})

    path = f"/v4/limits/{limit['id']}"
    with key(account, "editor") as editor:
        assert editor.get(path).status_code == 200
        for answer in (editor.patch(path, json={"priority": 1}), editor.delete(path)):
            assert (answer.status_code, answer.json()["code"]) == (403, "role_too_low")
    other = http.post("/accounts", json={"account_name": name}).json()["account_id"]
    with key(other, "admin") as stranger:
        for answer in (stranger.get(path), stranger.patch(path, json={"priority": 1}), stranger.delete(path)):
            assert (answer.status_code, answer.json()["code"]) == (404, "limit_not_found")
        assert stranger.get("/v4/limits").json()["items"] == []


def test_what_is_another_account_s_is_no_subject(http: httpx.Client, account: str, name: str) -> None:
    other = http.post("/accounts", json={"account_name": name}).json()["account_id"]
    key = http.post("/v4/api-keys", json={"account_id": other, "name": name, "role": "admin"}).json()
    group = {"vendor_configuration": {"bundle_config": {"registry": "modelyard", "image": "fake", "tag": "latest"}}}
    template = {"name": name, "endpoint_type": "SYNC", "model_type": "EMBEDDING", "account_id": other, **group}
    made = http.post("/v4/model-templates", json=template).json()
    model = {"name": name, "model_type": "EMBEDDING", "model_template_id": made["id"], "account_id": other}
    theirs = {
        "key": key["id"],
        "identity": key["identity_id"],
        "model": http.post("/v4/models", json=model).json()["id"],
    }
    for subject, subject_id in theirs.items():
        body = {"name": name, "subject": subject, "subject_id": subject_id, "calls_per_minute": 9}
        answer = http.post("/v4/limits", json={**body, "account_id": account})
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown_subject"), answer.text
        assert http.post("/v4/limits", json={**body, "account_id": other, "name": subject}).status_code == 200
