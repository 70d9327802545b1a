"""What every control call passes before it is looked at: a known key, clean text, a bounded body of clean JSON."""

import asyncio
from collections.abc import Iterable
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelyard.clock import Clock
from modelyard.control.people.keys import Keys
from modelyard.control.scope import Scope as CallerScope
from modelyard.control.vault import Vault
from modelyard.domain.audit import Actor
from modelyard.errors import FieldError, InvalidRequest, MalformedRequest, TooLarge
from modelyard.http.auth import KEY_HEADER, key_from, selected_account
from modelyard.http.json_body import parse, unprintable
from modelyard.http.request_id import UNKEPT, request_id_of
from modelyard.http.sign_in.cookies import refuse_cross_site, session_in
from modelyard.store import acting

MAX_BODY_BYTES = 4 * 1024 * 1024
BODY_SECONDS = 30
"""How long a body may take to arrive."""


class Guard:
    """Pure ASGI, around the control API. Everything but ``public`` paths needs a key, or a session: forgetting to
    protect a route is not possible, nor is changing something without a name in the audit log. Leaves a
    `modelyard.control.scope.Scope` in ``scope["state"]["caller_scope"]``."""

    def __init__(
        self,
        app: ASGIApp,
        keys: Keys,
        public: Iterable[str],
        max_body_bytes: int = MAX_BODY_BYTES,
        *,
        clock: Clock,
        vault: Vault,
        public_url: str | None = None,
    ) -> None:
        self._app = app
        self._keys = keys
        self._public = frozenset(public)
        self._max_body_bytes = max_body_bytes
        self._clock = clock
        self._vault = vault
        self._public_url = public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._public:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        _check_address(scope)
        caller = await self._keys.verify(self._credential(scope["method"], headers))
        scope.setdefault("state", {})["caller_scope"] = CallerScope(caller, selected_account(headers, caller))
        body = await self._body(headers, receive)
        if body:
            _check_content_type(headers)
            parse(body)
        actor = Actor(caller.identity_id, caller.identity_type, caller.key_id, request_id_of(scope))
        with acting(actor, self._clock.now):
            await self._app(scope, _replay(body, receive), _unkept(send))

    def _credential(self, method: str, headers: Headers) -> str:
        """A key in a header; else the session in the cookie, where another site cannot have sent it."""
        if KEY_HEADER not in headers and "authorization" not in headers:
            secret = session_in(headers, self._vault)
            if secret is not None:
                refuse_cross_site(method, headers, self._public_url)
                return secret
        return key_from(headers)

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        # The server has checked that it is a number; the body itself is counted below anyway.
        if int(headers.get("content-length", "0")[:18]) > self._max_body_bytes:
            raise self._too_large()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await self._read(receive)
        except TimeoutError as error:
            raise MalformedRequest(f"The body did not arrive within {BODY_SECONDS} s.", code="body_too_slow") from error

    async def _read(self, receive: Receive) -> bytes:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise MalformedRequest("The connection ended before the body did.")
            body += message.get("body", b"")
            if len(body) > self._max_body_bytes:
                raise self._too_large()
            if not message.get("more_body", False):
                return bytes(body)

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The body is larger than {self._max_body_bytes} bytes, the most that this call takes.")


def _check_address(scope: Scope) -> None:
    errors = []
    if fault := unprintable(scope["path"]):
        errors.append(FieldError(("path",), fault))
    query = scope["query_string"].decode("latin-1")
    if len(query) > 64 * 1024:
        raise InvalidRequest.at("query", msg="is longer than 64 KiB")
    for name, value in parse_qsl(query, keep_blank_values=True):
        if fault := unprintable(name) or unprintable(value):
            errors.append(FieldError(("query", name.replace("\x00", "\\x00")), fault))
    if errors:
        raise InvalidRequest(errors)


def _check_content_type(headers: Headers) -> None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise MalformedRequest(
            f"The body's content type is '{kind}'." if kind else "The body has no content type.",
            hint="Send JSON with the header content-type: application/json.",
        )


def _unkept(send: Send) -> Send:
    async def send_unkept(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [UNKEPT, *(pair for pair in message.get("headers", ()) if pair != UNKEPT)]
        await send(message)

    return send_unkept


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def receive_again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
