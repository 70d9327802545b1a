"""Accounts' own access to vendors: kept encrypted, never given back."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from api_server import KEY, Running

from modelyard.control.people.bootstrap import ACCOUNT_ID

SECRET = "sk-proj-0123456789abcdef"


@pytest.fixture
def http(server: Running) -> Iterator[httpx.Client]:
    """As the administrator, who may belong to other tests' accounts too."""
    headers = {"x-api-key": KEY, "x-selected-account-id": ACCOUNT_ID}
    with httpx.Client(base_url=server.url, headers=headers, timeout=30) as made:
        yield made


def made(http: httpx.Client, name: str, **more: Any) -> dict[str, Any]:
    answer = http.post("/v4/vendor-credentials", json={"vendor": "OPENAI", "name": name, "api_key": SECRET, **more})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def as_role(server: Running, http: httpx.Client, role: str) -> httpx.Client:
    key = http.post("/v4/api-keys", json={"name": role, "role": role, "account_id": ACCOUNT_ID}).json()["key"]
    return httpx.Client(base_url=server.url, headers={"x-api-key": key}, timeout=30)


def test_the_secret_is_never_given_back(http: httpx.Client, server: Running, name: str) -> None:
    credential = made(http, name)
    assert credential["masked"] == "********cdef"
    listed = http.get("/v4/vendor-credentials")
    one = http.get(f"/v4/vendor-credentials/{credential['id']}")
    assert one.json() == credential
    assert credential in listed.json()["items"]
    assert SECRET not in listed.text + one.text + json.dumps(credential)

    async def kept() -> str:
        async with server.parts.store.read() as tx:
            return (await tx.vendor_credentials.get(credential["id"], None)).sealed

    sealed = server.run(kept())
    assert SECRET not in sealed
    assert json.loads(server.parts.vault.unseal(sealed)) == {"api_key": SECRET}


def test_it_is_gone_once_it_is_deleted(http: httpx.Client, name: str) -> None:
    path = f"/v4/vendor-credentials/{made(http, name)['id']}"
    assert http.delete(path).json() == {"count": 1, "success": True}
    for answer in (http.get(path), http.delete(path)):
        assert (answer.status_code, answer.json()["code"]) == (404, "vendor_credential_not_found")
    made(http, name)


def test_names_are_unique_and_repetition_makes_one(http: httpx.Client, name: str) -> None:
    body = {"vendor": "OPENAI", "name": name, "api_key": SECRET}
    first, again = (http.post("/v4/vendor-credentials", json=body, headers={"idempotency-key": name}) for _ in range(2))
    assert first.json() == again.json()
    assert http.post("/v4/vendor-credentials", json=body).json()["code"] == "name_taken"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"vendor": "OPENAI"}, {"api_key"}),
        ({"vendor": "OPENAI", "api_key": "with space"}, {"api_key"}),
        ({"vendor": "OPENAI", "api_key": SECRET, "region": "us-east-1"}, {"region"}),
        ({"vendor": "OPENAI", "bearer_token": SECRET}, {"bearer_token", "api_key"}),
        ({"vendor": "OTHER", "api_key": SECRET}, {"base_url"}),
        ({"vendor": "OTHER", "api_key": SECRET, "base_url": "ftp://x"}, {"base_url"}),
        ({"vendor": "OTHER", "api_key": SECRET, "base_url": "https://user:pass@x/v1"}, {"base_url"}),
        ({"vendor": "BEDROCK", "access_key_id": "AKIA"}, {"secret_access_key", "region"}),
        ({"vendor": "VERTEX_AI", "service_account": {"type": "x"}}, {"service_account"}),
        ({"vendor": "LAUNCH", "api_key": SECRET}, {"vendor"}),
        ({"vendor": "NOBODY", "api_key": SECRET}, {"vendor"}),
        ({"vendor": "OPENAI", "api_key": SECRET, "more": 1}, {"more"}),
    ],
)
def test_bad_ones_are_refused_by_field(http: httpx.Client, body: dict[str, Any], fields: set[str]) -> None:
    answer = http.post("/v4/vendor-credentials", json=body)
    assert answer.status_code == 422
    assert {problem["loc"][1] for problem in answer.json()["detail"]} == fields
    assert SECRET not in answer.text


def test_who_may_do_what(http: httpx.Client, server: Running, name: str) -> None:
    credential = made(http, name)
    path = f"/v4/vendor-credentials/{credential['id']}"
    with as_role(server, http, "editor") as editor:
        body = {"vendor": "OPENAI", "name": name + "-2", "api_key": SECRET}
        assert editor.post("/v4/vendor-credentials", json=body).status_code == 403
        assert editor.delete(path).status_code == 403
        assert editor.get(path).json()["masked"] == "********cdef"
    other = http.post("/v4/accounts", json={"account_name": name}).json()["account_id"]
    body, there = {"name": name, "role": "admin", "account_id": other}, {"x-selected-account-id": other}
    stranger = http.post("/v4/api-keys", json=body, headers=there).json()["key"]
    with httpx.Client(base_url=server.url, headers={"x-api-key": stranger}, timeout=30) as elsewhere:
        assert elsewhere.get(path).status_code == elsewhere.delete(path).status_code == 404
        assert elsewhere.get("/v4/vendor-credentials").json()["total_item_count"] == 0
