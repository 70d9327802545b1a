"""Every request has an id, and every response tells it."""

import random
import re
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = b"x-request-id"
NO_SNIFFING = (b"x-content-type-options", b"nosniff")
"""No browser takes an answer for something else than it says it is."""
UNKEPT = (b"cache-control", b"no-store")
"""Answers may hold keys and what only this caller may see: nobody on the way keeps them. Those to POST nobody keeps
anyway."""

_ACCEPTABLE = re.compile(rb"[A-Za-z0-9._:+/=-]{1,128}\Z")

_draw = random.Random().getrandbits  # noqa: S311  # seeded by the system; ids need to be unique, not secret


def new_request_id(seconds: float | None = None) -> str:
    """32 hexadecimal digits: 12 of the time (``seconds`` since 1970, None: now) in milliseconds, the others drawn.
    Whoever keeps requests by their ids adds later ones at the end; and it takes an eighth of what uuid4 does."""
    moment = time.time() if seconds is None else seconds
    return ((int(moment * 1000) << 80) + _draw(80)).to_bytes(16, "big").hex()


class RequestId:
    """Pure ASGI, so that it costs the hot calls next to nothing and leaves streams alone.

    The id stands in ``scope["state"]["request_id"]`` and on every response.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = given_or_new(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        told = told_in(request_id)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [pair for pair in message.get("headers", ()) if pair[0] != HEADER]
                message["headers"] = [*headers, *told]
            await send(message)

        await self._app(scope, receive, send_with_id)


def given_or_new(scope: Scope) -> str:
    """The caller's own ``x-request-id`` where that is harmless to print, else a new one."""
    for name, value in scope["headers"]:
        if name == HEADER and _ACCEPTABLE.match(value):
            return str(value, "ascii")
    return new_request_id()


def told_in(request_id: str) -> tuple[tuple[bytes, bytes], ...]:
    """The headers that every response has."""
    return ((HEADER, request_id.encode("ascii")), NO_SNIFFING)


def request_id_of(scope: Scope) -> str:
    """The id that `RequestId` gave this request; "" for one that never passed it."""
    return str(scope.get("state", {}).get("request_id", ""))
