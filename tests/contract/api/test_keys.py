"""Keys: one's own and others', narrowed, rotated, known by their looks."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_server import KEY, Running, serving

from modelyard.control.people.last_used import LastUsed
from modelyard.domain.secrets import PATTERN, checksum


def as_key(server: Running, key: str) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers={"x-api-key": key}, timeout=30)


def make(http: httpx.Client, **body: Any) -> dict[str, Any]:
    answer = http.post("/v4/api-keys", json={"name": "k", **body})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_one_identity_has_several_keys(server: Running, http: httpx.Client, account: str) -> None:
    first = make(http, account_id=account, role="editor")
    second = make(http, identity_id=first["identity_id"])
    with as_key(server, second["key"]) as caller:
        third = make(caller, identity_id="me")
        listed = caller.get("/v4/api-keys", params={"identity_id": "me"}).json()["items"]
    assert {each["id"] for each in listed} == {first["id"], second["id"], third["id"]}
    assert {each["identity_id"] for each in listed} == {first["identity_id"]}
    assert http.delete(f"/v4/api-keys/{first['id']}").status_code == 200
    with as_key(server, third["key"]) as caller:
        assert caller.get("/user-info").status_code == 200, "the others stay"


def test_scopes_narrow_what_a_role_may(
    server: Running, http: httpx.Client, model: dict[str, Any], account: str
) -> None:
    path = f"/v4/models/{model['id']}"
    tries = {
        "read": lambda caller: caller.get(path),
        "write": lambda caller: caller.patch(path, json={"description": "x"}),
        "admin": lambda caller: caller.get("/v4/service-accounts"),
        "audit": lambda caller: caller.get("/v4/audit-log"),
    }
    allowed = {"inference": set(), "read": {"read"}, "write": {"read", "write"}, "admin": set(tries)}
    for scope, may in allowed.items():
        made = make(http, account_id=account, role="admin", scopes=[scope])
        assert made["scopes"] == [scope]
        with as_key(server, made["key"]) as caller:
            assert caller.get("/user-info").status_code == 200
            for what, attempt in tries.items():
                answer = attempt(caller)
                assert answer.status_code == (200 if what in may else 403), (scope, what, answer.text)
                if what not in may:
                    assert answer.json()["code"] == "scope_missing"


def test_a_scope_adds_nothing_to_a_role(
    server: Running, http: httpx.Client, model: dict[str, Any], account: str
) -> None:
    made = make(http, account_id=account, role="viewer", scopes=["admin", "write"])
    with as_key(server, made["key"]) as caller:
        answer = caller.patch(f"/v4/models/{model['id']}", json={"description": "x"})
    assert (answer.status_code, answer.json()["code"]) == (403, "role_too_low")


def test_no_key_makes_a_wider_one(server: Running, http: httpx.Client, account: str) -> None:
    made = make(http, account_id=account, role="admin", scopes=["admin", "read"], models=["one"])
    with as_key(server, made["key"]) as caller:
        for body in (
            {"identity_id": "me"},
            {"identity_id": "me", "scopes": ["inference"], "models": ["one"]},
            {"identity_id": "me", "scopes": ["read"]},
            {"identity_id": "me", "scopes": ["read"], "models": ["one", "two"]},
        ):
            answer = caller.post("/v4/api-keys", json={"name": "x", **body})
            assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing"), body
        wider = caller.patch(f"/v4/api-keys/{made['id']}", json={"scopes": None})
        assert wider.json()["code"] == "scope_missing"
        assert make(caller, identity_id="me", scopes=["read"], models=["one"])["models"] == ["one"]
    reader = make(http, account_id=account, role="admin", scopes=["read"])
    with as_key(server, reader["key"]) as caller:
        answer = caller.post("/v4/api-keys", json={"name": "x", "identity_id": "me", "scopes": ["read"]})
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scopes", []),
        ("scopes", ["everything"]),
        ("scopes", "read"),
        ("models", []),
        ("models", [""]),
        ("role", "disabled"),
        ("expires_at", "2020-01-01T00:00:00Z"),
        ("expires_at", "2120-01-01T00:00:00"),
        ("expires_at", "soon"),
        ("name", ""),
    ],
)
def test_bad_fields_are_named(http: httpx.Client, account: str, field: str, value: object) -> None:
    answer = http.post("/v4/api-keys", json={"name": "x", "account_id": account, field: value})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][:2] == ["body", field]


def test_a_new_service_account_and_an_old_one_exclude_each_other(http: httpx.Client, account: str) -> None:
    answer = http.post("/v4/api-keys", json={"name": "x", "identity_id": "me", "role": "viewer", "account_id": account})
    assert [each["loc"] for each in answer.json()["detail"]] == [["body", "account_id"], ["body", "role"]]
    unknown = http.post("/v4/api-keys", json={"name": "x", "identity_id": "0" * 36})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "user_not_found")


def test_ends_are_moments_whatever_the_time_zone(http: httpx.Client, account: str) -> None:
    made = make(http, account_id=account, expires_at="2120-06-30T23:30:00-02:30")
    assert made["expires_at"] == "2120-07-01T02:00:00Z"
    path = f"/v4/api-keys/{made['id']}"
    assert http.patch(path, json={"expires_at": None}).json()["expires_at"] is None
    assert http.patch(path, json={"expires_at": "2020-01-01T00:00:00Z"}).status_code == 422
    assert http.patch(path, json={"name": "renamed", "models": ["a", "a", "b"]}).json()["models"] == ["a", "b"]
    assert http.get(path).json()["name"] == "renamed"


def test_a_rotated_key_keeps_its_id_and_its_earlier_secret_for_a_while(
    server: Running, http: httpx.Client, account: str
) -> None:
    made = make(http, account_id=account, role="viewer")
    secrets = [made["key"]]
    with as_key(server, made["key"]) as caller:
        for _ in range(2):
            rotated = caller.post(f"/v4/api-keys/{made['id']}/rotate", json={"grace_seconds": 3600})
            assert rotated.json()["id"] == made["id"]
            secrets.append(rotated.json()["key"])
    assert len(set(secrets)) == 3
    for secret in secrets:
        with as_key(server, secret) as caller:
            assert caller.get("/user-info").json()["id"] == made["identity_id"]
    last = http.post(f"/v4/api-keys/{made['id']}/rotate", json={"grace_seconds": 0}).json()["key"]
    for secret in secrets:
        with as_key(server, secret) as caller:
            assert caller.get("/user-info").status_code == 401, "without grace every earlier secret ends"
    with as_key(server, last) as caller:
        assert caller.get("/user-info").status_code == 200
        assert http.delete(f"/v4/api-keys/{made['id']}").status_code == 200
        assert caller.get("/user-info").status_code == 401


def test_the_grace_ends(server: Running, http: httpx.Client, account: str) -> None:
    made = make(http, account_id=account, role="viewer")
    http.post(f"/v4/api-keys/{made['id']}/rotate", json={"grace_seconds": 1})
    with as_key(server, made["key"]) as caller:
        assert caller.get("/user-info").status_code == 200
        end = datetime.now(UTC) + timedelta(seconds=1)
        while datetime.now(UTC) <= end:
            time.sleep(0.05)
        assert caller.get("/user-info").status_code == 401


def test_a_key_rotates_and_ends_itself_whatever_its_scopes(server: Running, http: httpx.Client, account: str) -> None:
    made = make(http, account_id=account, role="viewer", scopes=["inference"])
    other = make(http, identity_id=made["identity_id"], scopes=["inference"])
    with as_key(server, made["key"]) as caller:
        assert caller.post(f"/v4/api-keys/{other['id']}/rotate", json={}).json()["code"] == "scope_missing"
        assert caller.post(f"/v4/api-keys/{made['id']}/rotate", json={}).status_code == 200
        assert caller.delete(f"/v4/api-keys/{made['id']}").status_code == 200
        assert caller.get("/user-info").status_code == 401


@pytest.mark.parametrize("grace", [-1, 30 * 24 * 3600 + 1, 0.5, "1", None])
def test_a_grace_is_a_number_of_seconds(http: httpx.Client, account: str, grace: object) -> None:
    made = make(http, account_id=account)
    answer = http.post(f"/v4/api-keys/{made['id']}/rotate", json={"grace_seconds": grace})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "grace_seconds"]


def test_a_repeated_rotation_rotates_once(server: Running, http: httpx.Client, account: str) -> None:
    made = make(http, account_id=account)
    path, headers = f"/v4/api-keys/{made['id']}/rotate", {"idempotency-key": made["id"]}
    first = http.post(path, json={"grace_seconds": 0}, headers=headers).json()
    again = http.post(path, json={"grace_seconds": 0}, headers=headers)
    assert (again.status_code, again.json()["code"]) == (409, "key_shown_before")
    with as_key(server, first["key"]) as caller:
        assert caller.get("/user-info").status_code == 200


def test_no_call_takes_the_last_key_of_the_last_administrator(tmp_path: Path) -> None:
    with serving(tmp_path) as server, as_key(server, KEY) as http:
        mine = f"/v4/api-keys/{http.get('/v4/api-keys').json()['items'][0]['id']}"
        me = f"/v4/users/{http.get('/user-info').json()['id']}"
        refused = (
            ("DELETE", mine, None),
            ("PATCH", mine, {"scopes": ["read"]}),
            ("PATCH", mine, {"scopes": ["admin"]}),
            ("PATCH", mine, {"models": ["one"]}),
            ("PATCH", mine, {"expires_at": "2120-01-01T00:00:00Z"}),
            ("PATCH", me, {"is_deployment_admin": False}),
        )
        for second in (None, {"scopes": ["admin"]}, {"models": ["one"]}, {"expires_at": "2120-01-01T00:00:00Z"}):
            if second is not None:  # lesser keys change nothing about that
                make(http, identity_id="me", **second)
            for method, path, body in refused:
                answer = http.request(method, path, json=body) if body else http.request(method, path)
                assert (answer.status_code, answer.json()["code"]) == (409, "last_administrator"), (path, body)
                assert answer.headers["x-should-retry"] == "false"
        assert http.patch(mine, json={"name": "renamed"}).status_code == 200
        make(http, identity_id="me")
        assert http.delete(mine).status_code == 200


def test_scanners_know_a_key_by_its_looks(http: httpx.Client, account: str) -> None:
    key = make(http, account_id=account)["key"]
    assert PATTERN.fullmatch(key)
    assert re.fullmatch(r"my_[0-9a-f]{8}_[0-9A-Za-z]{49}", key)
    assert checksum(key[:-6]) == key[-6:]


def test_look_alikes_are_unknown(server: Running, http: httpx.Client, account: str) -> None:
    made = make(http, account_id=account)
    key, prefix = made["key"], made["prefix"]
    other = "a" if key[-10] != "a" else "b"
    for wrong in (
        prefix,
        prefix + "_",
        key[:-1],
        key + "a",
        key.upper(),
        key[:-10] + other + key[-9:],
        key[:-10] + other + key[-9:-6] + checksum(key[:-10] + other + key[-9:-6]),
        made["id"],
    ):
        with as_key(server, wrong) as caller:
            answer = caller.get("/user-info")
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), wrong


def test_the_last_use_is_written_down(server: Running, http: httpx.Client, account: str) -> None:
    made = make(http, account_id=account)
    last_used = LastUsed(server.parts.store)
    server.parts.keys._note = last_used.note
    with as_key(server, made["key"]) as caller:
        caller.get("/user-info")
    assert http.get(f"/v4/api-keys/{made['id']}").json()["last_used_at"] is None
    before = datetime.now(UTC) - timedelta(seconds=5)
    server.run(last_used.flush())
    server.parts.keys._note = None
    assert datetime.fromisoformat(http.get(f"/v4/api-keys/{made['id']}").json()["last_used_at"]) > before


def test_a_narrower_key_is_so_at_once(server: Running, http: httpx.Client, account: str) -> None:
    made = make(http, account_id=account, role="viewer")
    with as_key(server, made["key"]) as caller:
        assert caller.get("/v4/models").status_code == 200
        assert http.patch(f"/v4/api-keys/{made['id']}", json={"scopes": ["inference"]}).status_code == 200
        assert caller.get("/v4/models").status_code == 403


def test_a_revocation_reaches_another_server(tmp_path: Path) -> None:
    """Within two seconds, as tests whose clock stands still show: how long a busy machine takes is another matter."""
    with serving(tmp_path) as one, serving(tmp_path) as other, as_key(one, KEY) as http:
        made = make(http, role="viewer")
        robot = make(http, role="viewer")
        with as_key(other, made["key"]) as revoked, as_key(other, robot["key"]) as disabled:
            assert revoked.get("/user-info").status_code == disabled.get("/v4/models").status_code == 200
            assert disabled.get("/v4/models").json()["items"]
            http.delete(f"/v4/api-keys/{made['id']}")
            http.patch(f"/v4/service-accounts/{robot['identity_id']}", json={"status": "disabled"})
            until(lambda: revoked.get("/user-info").status_code == 401)
            until(lambda: disabled.get("/v4/models").json()["items"] == [])


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
