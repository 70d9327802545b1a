"""The outermost guard: whatever is raised below becomes an answer in our error shape, or at least a log line."""

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelyard.errors import ModelyardError
from modelyard.http.errors import headers_of, status_of
from modelyard.http.request_id import UNKEPT, request_id_of
from modelyard.http.voices import voice_at

log = structlog.get_logger(__name__)


class Boundary:
    """Pure ASGI. A `ModelyardError` is answered as what it is; anything else is a 500 that tells the client
    nothing but the request id under which the log has the traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except Exception as error:
            _log_unexpected(error, scope)
            if started:
                # The status is out; only breaking off still tells the client that this is no whole answer.
                raise
            await answer(error, scope, send)


def _log_unexpected(error: Exception, scope: Scope) -> None:
    if isinstance(error, ModelyardError) and status_of(error) != 500:
        return
    log.error(
        "request failed",
        request_id=request_id_of(scope),
        method=scope["method"],
        path=scope["path"],
        exc_info=error,
    )


async def answer(error: Exception, scope: Scope, send: Send) -> None:
    """Send ``error`` as the whole response."""
    known = error if isinstance(error, ModelyardError) and status_of(error) != 500 else unexpected()
    voice = voice_at(scope["path"])
    body = voice.encoded(known, request_id_of(scope))
    headers = {"content-type": "application/json", "content-length": str(len(body)), **headers_of(known)}
    raw = [UNKEPT, *((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items())]
    await send({"type": "http.response.start", "status": voice.status_of(known), "headers": raw})
    await send({"type": "http.response.body", "body": body})


def unexpected() -> ModelyardError:
    """What a client learns of an error that nobody foresaw."""
    return ModelyardError("Something unexpected went wrong; the server's log has it under this request id.")
