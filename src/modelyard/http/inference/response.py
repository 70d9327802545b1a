"""Sending answers, and noticing that nobody is there any more to read them."""

import asyncio
from types import TracebackType
from typing import Any

from starlette.types import Receive, Scope, Send

from modelyard.errors import MalformedRequest, ModelyardError
from modelyard.gateway.capturing import Capture
from modelyard.gateway.metering import ClientGone
from modelyard.http.errors import headers_of
from modelyard.http.request_id import given_or_new, request_id_of, told_in
from modelyard.http.sse import HEADERS as SSE_HEADERS
from modelyard.http.voices import voice_at
from modelyard.http.whole import takes_whole

RawHeaders = tuple[tuple[bytes, bytes], ...]

WATCH_AFTER_SECONDS = 0.05
"""Most calls end before anybody needs to watch whether their client is still there."""

BODY_SECONDS = 60.0
"""How long a body may take to arrive."""

STALL_SECONDS = 60.0
"""A client that reads nothing for so long, and at most twice that, while pieces wait for it counts as gone: its call
holds a place on a worker."""

_JSON = (b"content-type", b"application/json")


class Response:
    """One response. The request id goes into errors; `modelyard.http.request_id.RequestId` puts it on the headers, and
    where that is not around the call this does."""

    __slots__ = ("_own", "_path", "_send", "_sse", "_whole", "capture", "passed", "request_id", "started", "waiting")

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._path = scope["path"]
        self._sse = False
        self.capture: Capture | None = None
        """Where what is sent is kept as well."""
        self.started = False
        self.passed = 0
        """Pieces that the server has taken."""
        self.waiting = False
        """Whether one waits to be taken, because the client does not read."""
        self.request_id = request_id_of(scope)
        self._own: RawHeaders = ()
        if not self.request_id:
            self.request_id = given_or_new(scope)
            self._own = told_in(self.request_id)
        self._whole = takes_whole(scope)

    async def json(self, body: bytes, headers: RawHeaders = (), status: int = 200) -> None:
        length = (b"content-length", str(len(body)).encode())
        if self.capture is not None:
            self.capture.add(body)
        if self._whole:
            await self._start(status, (_JSON, length, *headers), body=body)
            return
        await self._start(status, (_JSON, length, *headers))
        await self._send({"type": "http.response.body", "body": body})

    async def begin(self, headers: RawHeaders, *, sse: bool = False) -> None:
        """Begin a response whose body comes in pieces."""
        self._sse = sse
        await self._start(200, (*(SSE_HEADERS if sse else ()), *headers))

    async def piece(self, data: bytes) -> None:
        """Send a piece; waits while the client reads too slowly."""
        await self._pass({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        await self._pass({"type": "http.response.body", "body": data})

    async def fail(self, error: ModelyardError) -> None:
        """Answer with ``error``; within an event stream as its last event. Within any other body nothing can be
        said any more, so it is left incomplete and the server breaks the connection off."""
        voice = voice_at(self._path)
        if not self.started:
            headers = tuple((name.encode(), value.encode("latin-1")) for name, value in headers_of(error).items())
            await self.json(voice.encoded(error, self.request_id), headers, voice.status_of(error))
        elif self._sse:
            await self.end(voice.event(error, self.request_id))

    async def _pass(self, message: dict[str, Any]) -> None:
        if self.capture is not None:
            self.capture.add(message["body"])
        self.waiting = True
        await self._send(message)
        self.waiting = False
        self.passed += 1

    async def _start(self, status: int, headers: RawHeaders, **whole: bytes) -> None:
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, *self._own], **whole})


class Watch:
    """Looks after a call's client while the call's task runs inside: when the client sends its body too slowly, goes
    away, or stops reading ``response``, the task is cancelled, and leaves with `MalformedRequest` or `ClientGone`."""

    __slots__ = (
        "_body_seconds",
        "_late",
        "_owner",
        "_passed",
        "_read",
        "_receive",
        "_response",
        "_timer",
        "_watching",
        "gone",
        "slow",
    )

    def __init__(self, receive: Receive, response: Response, body_seconds: float = BODY_SECONDS) -> None:
        self._receive = receive
        self._response = response
        self._body_seconds = body_seconds
        self._passed = -1
        self._read = False
        self._late = False
        self._watching: asyncio.Task[None] | None = None
        self.gone = False
        self.slow = False

    def __enter__(self) -> "Watch":
        owner = asyncio.current_task()
        assert owner is not None
        self._owner = owner
        self._timer = owner.get_loop().call_later(WATCH_AFTER_SECONDS, self._look)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
        ours = isinstance(error, asyncio.CancelledError) and (self.gone or self.slow)
        if not ours or self._owner.uncancel():
            return
        if self.gone:
            raise ClientGone from error
        msg = f"The body did not arrive within {self._body_seconds:g} s."
        raise MalformedRequest(msg, code="body_too_slow") from error

    def body_is_here(self) -> None:
        """Nobody else calls ``receive`` from now on, so that the client's going away can be waited for."""
        self._read = True
        if self._late:
            self._timer.cancel()
            self._start()

    def _look(self) -> None:
        if self._read:
            self._start()
        else:
            self._late = True
            self._timer = self._owner.get_loop().call_later(self._body_seconds, self._give_up)

    def _start(self) -> None:
        self._watching = self._owner.get_loop().create_task(self._watch())
        self._look_again()

    def _look_again(self) -> None:
        passed = self._response.passed
        if self._response.waiting and passed == self._passed:
            self._leave()
            return
        self._passed = passed if self._response.waiting else -1
        self._timer = self._owner.get_loop().call_later(STALL_SECONDS, self._look_again)

    def _give_up(self) -> None:
        self.slow = True
        self._owner.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        self.gone = True
        self._owner.cancel()
