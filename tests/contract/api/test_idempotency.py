"""A create that is repeated makes nothing twice."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from api_server import KEY, Running

AGAIN = {"x-stainless-retry-count": "1"}


@pytest.fixture
def calls(fake_template: dict[str, Any], account: str) -> list[tuple[str, dict[str, Any]]]:
    return [("/v4/model-templates", fake_template), ("/accounts", {"account_name": fake_template["name"]})]


def name_field(body: dict[str, Any]) -> str:
    return next(field for field in body if field in ("name", "account_name"))


def test_a_repeated_body_gives_the_first_result(http: httpx.Client, calls: list[tuple[str, dict[str, Any]]]) -> None:
    for path, body in calls:
        first = http.post(path, json=body)
        again = http.post(path, json=body, headers=AGAIN)
        assert first.status_code == again.status_code == 200
        assert first.json() == again.json()


def test_a_repetition_that_comes_first_makes_one(http: httpx.Client, calls: list[tuple[str, dict[str, Any]]]) -> None:
    # The first try may have been lost on its way.
    for path, body in calls:
        first = http.post(path, json=body, headers=AGAIN)
        again = http.post(path, json=body, headers={"x-stainless-retry-count": "2"})
        assert first.status_code == again.status_code == 200
        assert first.json() == again.json()


def test_a_named_call_is_made_once(http: httpx.Client, calls: list[tuple[str, dict[str, Any]]]) -> None:
    for path, body in calls:
        named = {"idempotency-key": str(uuid4())}
        first = http.post(path, json=body, headers=named)
        assert http.post(path, json=body, headers=named).json() == first.json()
        other = http.post(path, json={**body, name_field(body): "other"}, headers=named)
        assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
        assert other.headers["x-should-retry"] == "false"


def test_an_equal_body_without_a_word_of_repeating_is_a_new_call(http: httpx.Client, name: str) -> None:
    ids = {http.post("/accounts", json={"account_name": name}).json()["account_id"] for _ in range(2)}
    assert len(ids) == 2
    assert http.post("/accounts", json={"account_name": name}, headers=AGAIN).json()["account_id"] in ids


def test_another_key_s_call_is_another_call(
    server: Running, http: httpx.Client, fake_template: dict[str, Any], account: str
) -> None:
    assert http.post("/v4/model-templates", json=fake_template).status_code == 200
    key = http.post("/v4/api-keys", json={"name": "editor", "role": "editor", "account_id": account}).json()["key"]
    answer = httpx.post(f"{server.url}/v4/model-templates", json=fake_template, headers={**AGAIN, "x-api-key": key})
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")


def test_what_was_deleted_since_may_be_made_again(http: httpx.Client, fake_template: dict[str, Any]) -> None:
    named = {"idempotency-key": str(uuid4())}
    first = http.post("/v4/model-templates", json=fake_template, headers=named).json()
    assert http.delete(f"/v4/model-templates/{first['id']}").status_code == 200
    assert http.post("/v4/model-templates", json=fake_template, headers=named).status_code == 409
    plain = http.post("/v4/model-templates", json=fake_template).json()
    assert http.delete(f"/v4/model-templates/{plain['id']}").status_code == 200
    again = http.post("/v4/model-templates", json=fake_template, headers=AGAIN)
    assert again.status_code == 200
    assert again.json()["id"] not in (first["id"], plain["id"])


def test_a_key_is_never_shown_twice(http: httpx.Client, name: str, account: str) -> None:
    body = {"name": name, "account_id": account}
    first = http.post("/v4/api-keys", json=body).json()
    again = http.post("/v4/api-keys", json=body, headers=AGAIN)
    assert (again.status_code, again.json()["code"]) == (409, "key_shown_before")
    assert first["id"] in again.json()["detail"]
    assert sum(key["name"] == name for key in http.get("/v4/api-keys").json()["items"]) == 1


def test_the_client_s_own_retry_makes_one(server: Running, name: str) -> None:
    """The official client repeats after a time-out of its own, and sends no key."""
    from scale_gp import SGPClient

    lost = [True]

    def lose_the_first(request: httpx.Request) -> None:
        # The server gets the call, the client never sees the answer.
        if lost.pop() if lost else False:
            httpx.request(request.method, request.url, headers=dict(request.headers), content=request.content)
            raise httpx.ReadTimeout("lost", request=request)

    transport = httpx.Client(base_url=server.url, event_hooks={"request": [lose_the_first]})
    with SGPClient(base_url=server.url, api_key=KEY, max_retries=1, http_client=transport) as client:
        made = client.accounts.create(account_name=name)
        profiles = [each for each in client.users.info().access_profiles if each.account.name == name]
    assert [profile.account.id for profile in profiles] == [made.account_id]
