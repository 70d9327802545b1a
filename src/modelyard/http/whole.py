"""Answers in one piece: status, headers and body in one write to the socket instead of two.

It is an extension of ASGI between our server and our endpoints: where a scope's ``extensions`` name `WHOLE`, the body
may stand in ``http.response.start``, which then is the whole answer. Middleware that changes headers is none the wiser.
"""

import re
from typing import Any

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

WHOLE = "modelyard.whole"
EXTENSIONS: dict[str, dict[object, object]] = {WHOLE: {}}

_UNCLEAN = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""What would end a header, or is no text."""


def takes_whole(scope: Scope) -> bool:
    """Whether whoever serves this request takes answers in one piece."""
    return WHOLE in scope.get("extensions", ())


class WholeCycle(RequestResponseCycle):
    """uvicorn's request and response, with a shorter way for whole answers and for pieces of streams."""

    async def send(self, message: Any) -> None:
        if not self.response_started and "body" in message:
            if self.flow.write_paused:
                await self._drained()
            if not self.disconnected:
                self._write_whole(message["status"], message["headers"], message["body"])
        elif self.chunked_encoding and not self.response_complete and message.get("more_body") and message["body"]:
            if self.flow.write_paused:
                await self._drained()
            if not self.disconnected:
                self.transport.write(b"%x\r\n%b\r\n" % (len(message["body"]), message["body"]))
        else:
            await super().send(message)

    async def _drained(self) -> None:
        if not self.disconnected:
            await self.flow.drain()

    def _write_whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.response_started = True
        self.waiting_for_100_continue = False
        parts = [STATUS_LINE[status]]
        for name, value in (*self.default_headers, *headers):
            if _UNCLEAN.search(value):
                raise RuntimeError("Invalid HTTP header value.")
            parts += (name, b": ", value, b"\r\n")
        parts.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        if self.scope["method"] != "HEAD":
            parts.append(body)
        self.transport.write(b"".join(parts))
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
