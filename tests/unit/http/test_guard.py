"""The guard and the outer layers, without a server."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from modelyard.control.vault import Vault
from modelyard.domain.accounts import Caller, IdentityType, Role
from modelyard.errors import NotFound, Unauthenticated
from modelyard.http import guard as module
from modelyard.http.auth import key_from, selected_account
from modelyard.http.boundary import Boundary
from modelyard.http.guard import Guard
from modelyard.http.request_id import RequestId
from modelyard.testing.clock import FakeClock

CALLER = Caller("k", "i", IdentityType.USER, False, {"acc": Role.ADMIN})


class OneKey:
    async def verify(self, key: str) -> Caller:
        if key != "good":
            raise Unauthenticated("no")
        return CALLER


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message["body"]})


async def call(
    app: Any, *messages: Message, method: str = "POST", path: str = "/", query: bytes = b"", **headers: str
) -> tuple[int, dict[bytes, bytes], bytes]:
    pending = list(messages)
    sent: list[Message] = []

    async def receive() -> Message:
        if not pending:
            await asyncio.Event().wait()
        return pending.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": raw}
    await app(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), body


def guarded(**more: Any) -> Any:
    return RequestId(Boundary(Guard(echo, OneKey(), ("/open",), clock=FakeClock(), vault=Vault([bytes(32)]), **more)))  # type: ignore[arg-type]


def piece(body: bytes, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


JSON = {"x_api_key": "good", "content_type": "application/json"}


async def test_a_body_in_pieces_arrives_whole() -> None:
    status, _, body = await call(guarded(), piece(b'{"a":', True), piece(b" 1}"), **JSON)
    assert (status, body) == (200, b'{"a": 1}')


async def test_open_paths_need_no_key() -> None:
    assert (await call(guarded(), piece(b""), path="/open"))[0] == 200
    assert (await call(guarded(), piece(b""), path="/other"))[0] == 401


async def test_a_body_is_counted_whatever_its_header_says() -> None:
    app = guarded(max_body_bytes=10)
    assert (await call(app, piece(b"x" * 11), content_length="1", **JSON))[0] == 413
    assert (await call(app, piece(b"x" * 6, True), piece(b"x" * 6, True), **JSON))[0] == 413
    assert (await call(app, content_length="11", **JSON))[0] == 413


async def test_a_query_is_bounded() -> None:
    status, _, body = await call(guarded(), piece(b""), query=b"a=" + b"x" * 64 * 1024, **JSON)
    assert (status, b"longer than 64 KiB" in body) == (422, True)
    assert (await call(guarded(), piece(b""), query=b"a=" + b"x" * 60_000, **JSON))[0] == 200


async def test_a_body_that_never_arrives_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BODY_SECONDS", 0.01)
    status, _, body = await call(guarded(), piece(b"{", True), **JSON)
    assert status == 400
    assert b"body_too_slow" in body


async def test_a_connection_that_ends_early_is_no_accident() -> None:
    assert (await call(guarded(), piece(b"{", True), {"type": "http.disconnect"}, **JSON))[0] == 400


async def test_whatever_is_raised_is_answered_once() -> None:
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("walrus")

    with capture_logs() as logs:
        status, headers, body = await call(RequestId(Boundary(breaks)), x_request_id="mine")
    assert status == 500
    assert [(line["request_id"], str(line["exc_info"])) for line in logs] == [("mine", "walrus")]
    assert headers[b"x-request-id"] == b"mine"
    assert b"internal_error" in body
    assert b"walrus" not in body


async def test_a_response_under_way_is_broken_off() -> None:
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("walrus")

    with pytest.raises(RuntimeError):
        await call(Boundary(breaks))


def test_where_keys_are_looked_for() -> None:
    assert key_from({"x-api-key": " k "}) == "k"
    assert key_from({"authorization": "bearer  k"}) == "k"
    assert key_from({"x-api-key": "k", "authorization": "Bearer other"}) == "k"
    for headers in ({}, {"x-api-key": " "}, {"authorization": "Bearer"}, {"authorization": "Token k"}):
        with pytest.raises(Unauthenticated):
            key_from(headers)


def test_a_selected_account_is_one_s_own() -> None:
    assert selected_account({"x-selected-account-id": "acc"}, CALLER) == "acc"
    assert selected_account({}, CALLER) is None
    assert selected_account({"x-selected-account-id": " "}, CALLER) is None
    with pytest.raises(NotFound):
        selected_account({"x-selected-account-id": "other"}, CALLER)
