"""Asking once more what a logged call asked: through the same routes as any caller, with this caller's own key."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import msgspec
from starlette.requests import Request
from starlette.routing import Match, Route
from starlette.types import Message, Scope

from modelyard.domain.call_logs import KeptCall, LoggedCall
from modelyard.domain.deployments import Deployment
from modelyard.errors import Conflict
from modelyard.http.api.wire.call_logs import Replayed
from modelyard.http.auth import ACCOUNT_HEADER

_OF_DEPLOYMENT = re.compile(r"/v4/models/[^/]+/(chat-completions|completions|embeddings|rerankings)\Z")
_EXECUTE = re.compile(r"/v4/(models/[^/]+/deployments/[^/]+|serving/(a/)?[^/]+)/execute\Z")
_SELECTS = ACCOUNT_HEADER.encode()
_PASSED_ON = (b"x-api-key", b"authorization", _SELECTS)


async def replayed(routes: Sequence[Route], request: Request, logged: LoggedCall, deployment: Deployment) -> Replayed:
    """What ``deployment`` answers now. `Conflict` (call_not_replayable) for a call that named no model of its own."""
    assert logged.content is not None
    path, body = _aimed_at(logged.content, deployment)
    # Whoever is in several accounts asks again for the one that asked at first, where it does not say another.
    payer = logged.record.account_id if deployment.is_built_in else deployment.account_id
    scope = _scope(request, path, body, payer)
    for route in routes:
        match, child = route.matches(scope)
        if match is Match.FULL:
            scope.update(child)
            return await _asked(route, scope, body)
    raise _not_replayable()


def _aimed_at(kept: KeptCall, deployment: Deployment) -> tuple[str, bytes]:
    """Path and body of the same question to another deployment; its answer is wanted whole."""
    try:
        body = msgspec.json.decode(kept.request.text)
    except msgspec.MsgspecError:
        body = None
    if not isinstance(body, dict):
        raise _not_replayable()
    if body.get("stream"):
        body["stream"] = False
        body.pop("stream_options", None)
    if found := _OF_DEPLOYMENT.match(kept.path):
        path = f"/v4/models/{deployment.id}/{found[1]}"
    elif _EXECUTE.match(kept.path):
        path = f"/v4/models/{deployment.model_id}/deployments/{deployment.id}/execute"
    elif "model" in body:
        path, body["model"] = kept.path, deployment.id
    else:
        raise _not_replayable()
    return path, msgspec.json.encode(body)


def _not_replayable() -> Conflict:
    msg = "What was kept of this call is no request that another deployment could be asked."
    return Conflict(msg, code="call_not_replayable")


def _scope(request: Request, path: str, body: bytes, payer: str) -> Scope:
    passed_on = [pair for pair in request.scope["headers"] if pair[0] in _PASSED_ON]
    if not any(name == _SELECTS for name, _ in passed_on):
        passed_on.append((_SELECTS, payer.encode()))
    length = (b"content-length", str(len(body)).encode())
    return {
        **{name: request.scope[name] for name in ("type", "asgi", "http_version", "scheme", "client", "server")},
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [*passed_on, (b"content-type", b"application/json"), length],
        "state": {"request_id": uuid4().hex},
    }


async def _asked(route: Route, scope: Scope, body: bytes) -> Replayed:
    given = [body]
    status = 0
    pieces: list[bytes] = []

    async def receive() -> dict[str, Any]:
        if not given:
            await asyncio.Event().wait()  # whoever waits for the client to go waits for nothing
        return {"type": "http.request", "body": given.pop(), "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            pieces.append(message.get("body", b""))

    await route.handle(scope, receive, send)
    answer = b"".join(pieces).decode(errors="replace")
    return Replayed(status=status, request_id=scope["state"]["request_id"], answer=answer)
