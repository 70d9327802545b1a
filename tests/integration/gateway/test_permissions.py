"""The permission table at the calls of models: every role, scope and narrowed key at every route."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from gateway_house import House, StartWorker

from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, IdentityType
from modelyard.domain.rights import RIGHTS, SCOPES, KeyScope, Right, Role
from modelyard.domain.servers import Backend, ModelServer
from modelyard.http.hot import hot_openapi, hot_routes
from modelyard.settings import GatewaySettings
from modelyard.testing.gateway import ACCOUNT, KEY, make_caller, make_route

SELDOM = {"model_server_id": "server", "alias": "stable", "model_id": "chat-model", "id": "chat"}
BODY = {"model": "chat", "messages": [{"role": "user", "content": "Hi"}], "prompt": "Hi", "chat_history": []}
RANK = {"query": "x", "relevant_chunks": [{"chunk_id": "1", "score": 1.0, "text": "x"}]}
BODIES: dict[str, Any] = {
    "/v4/chat-completions": {"model": "chat", "messages": [{"role": "user", "content": "Hi"}]},
    "/v4/completions": {"model": "chat", "prompt": "Hi"},
    "/v4/chunks/rank": {
        **RANK,
        "rank_strategy": {"method": "cross_encoder", "params": {"cross_encoder_model": "chat"}},
    },
}
LET_THROUGH = (200, 400, 422, 502)
"""The deployment's one verb answers, the others say which that is; and its worker knows of chats alone."""
NO_CALLS = {("GET", "/v1/models"), ("GET", "/v1/models/{id}")}
CALLS = [
    (method.upper(), path)
    for path, operations in hot_openapi()["paths"].items()
    for method in operations
    if (method.upper(), path) not in NO_CALLS
]
VISIBLE = [role for role in Role if Right.READ in RIGHTS[role]]


@pytest.fixture
async def called(house: House, start_worker: StartWorker) -> House:
    """One deployment with a worker, and a model server in front of it."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    server = ModelServer("server", ACCOUNT, at, "u", IdentityType.USER, "shown", "stable", (Backend("one"),))
    route = house.show(await start_worker(), deployment_id="one", deployment_name="chat", model_name="chat-model")
    house.routes.put(route, servers=[server])
    return house


async def status(house: House, method: str, path: str) -> tuple[int, str]:
    answer = await house.client.request(method, path.format(**SELDOM), json=BODIES.get(path, BODY))
    body: Any = answer.json()
    return answer.status_code, str(body.get("code") or body.get("error", {}).get("code"))


def test_there_are_calls_to_try() -> None:
    assert len(CALLS) >= 11


def test_no_call_is_left_out(house: House) -> None:
    paths = {route.path.replace(":path}", "}") for route in hot_routes(house.gateway, house.keys, GatewaySettings())}
    assert paths - {"/v1/{rest}"} == set(hot_openapi()["paths"])


@pytest.mark.parametrize("role", [*Role, None])
@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_a_role_at_a_call(called: House, role: Role | None, method: str, path: str) -> None:
    rights = frozenset() if role is None else RIGHTS[role]
    called.keys.callers[KEY] = make_caller({} if role is None else {ACCOUNT: role})
    got, code = await status(called, method, path)
    if Right.CALL in rights:
        assert got in LET_THROUGH, code
    else:
        assert got == (403 if Right.READ in rights else 404), code


@pytest.mark.parametrize("scope", list(KeyScope))
@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_a_scope_at_a_call(called: House, scope: KeyScope, method: str, path: str) -> None:
    called.keys.callers[KEY] = replace(make_caller({ACCOUNT: Role.ADMIN}), scopes=(scope,))
    got, code = await status(called, method, path)
    if Right.CALL in SCOPES[scope]:
        assert got in LET_THROUGH, code
    else:
        assert (got, code) == (403, "scope_missing")


@pytest.mark.parametrize("name", ["one", "chat", "chat-model", make_route().model_id])
async def test_a_narrowed_key_calls_what_it_names(called: House, name: str) -> None:
    called.keys.callers[KEY] = replace(make_caller(), models=frozenset({name, "other"}))
    assert (await called.chat()).status_code == 200
    listed = await called.client.get("/v1/models")
    assert listed.json()["data"]
    assert listed.headers["cache-control"] == "no-store", "the list is this key's alone"


@pytest.mark.parametrize(("method", "path"), CALLS)
async def test_a_narrowed_key_knows_of_nothing_else(called: House, method: str, path: str) -> None:
    called.keys.callers[KEY] = replace(make_caller(), models=frozenset({"cha", "other"}))
    answers = [await called.client.request(method, path.format(**SELDOM), json=BODIES.get(path, BODY))]
    called.routes.put()
    answers.append(await called.client.request(method, path.format(**SELDOM), json=BODIES.get(path, BODY)))
    bodies = []
    for answer in answers:
        assert answer.status_code == 404
        bodies.append({**answer.json(), "request_id": ""})
    assert bodies[0] == bodies[1], "as if it did not exist"
    assert (await called.client.get("/v1/models")).json()["data"] == []


async def test_a_model_server_is_let_through_by_its_own_names(called: House) -> None:
    for name in ("server", "shown", "stable"):
        called.keys.callers[KEY] = replace(make_caller(), models=frozenset({name}))
        assert (await called.chat("stable")).status_code == 200
        assert (await called.chat("chat")).status_code == 404


@pytest.mark.parametrize("role", VISIBLE)
async def test_what_the_platform_offers_is_called_for_an_account_that_may_call(
    house: House, start_worker: StartWorker, role: Role
) -> None:
    house.show(await start_worker(), account_id=PLATFORM_ACCOUNT_ID, deployment_name="chat")
    house.keys.callers[KEY] = make_caller({ACCOUNT: role})
    may = Right.CALL in RIGHTS[role]
    assert (await house.chat()).status_code == (200 if may else 403)
    house.keys.callers[KEY] = make_caller({ACCOUNT: role, "other": Role.EDITOR})
    assert (await house.chat()).status_code == 200
    house.client.headers["x-selected-account-id"] = ACCOUNT
    assert (await house.chat()).status_code == (200 if may else 403)
    assert len((await house.client.get("/v1/models")).json()["data"]) == int(may)


async def test_who_has_no_place_anywhere_sees_nothing(house: House, start_worker: StartWorker) -> None:
    house.show(await start_worker(), account_id=PLATFORM_ACCOUNT_ID, deployment_name="chat")
    house.keys.callers[KEY] = make_caller({})
    assert (await house.chat()).status_code == 404
