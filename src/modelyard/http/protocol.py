"""uvicorn's HTTP/1.1 on httptools, with bounds that it lacks: on the size and the time of what comes before a body; and
with an end that breaks off no call which is just being sent. Whole answers are one write (`modelyard.http.whole`)."""

from asyncio import TimerHandle
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from modelyard.http.request_id import NO_SNIFFING
from modelyard.http.whole import EXTENSIONS, WholeCycle
from modelyard.settings import SecuritySettings

_LINGER_SECONDS = 1
"""So long after an answer a connection is open for one more call when the server ends: a caller that calls again and
again has its next call on the way, and closing would lose it. That one's answer says ``connection: close``."""

_TOO_LARGE = "The request's line and headers are too large."


def bounded(settings: SecuritySettings) -> type[HttpToolsProtocol]:
    """The protocol class for `uvicorn.Config`."""

    class Bounded(BoundedProtocol):
        header_bytes = settings.header_bytes
        header_seconds = settings.header_seconds

    return Bounded


class BoundedProtocol(HttpToolsProtocol):
    """A connection whose next request is not begun is bounded by uvicorn's own keep-alive time."""

    header_bytes: int
    header_seconds: float

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = False
        self._head_bytes = 0
        self._head_timer: TimerHandle | None = None
        self._ending = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(self.header_seconds, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        begun = self._in_head
        super().data_received(data)
        # Most requests come whole, headers at least: then there is nothing to watch.
        if self._in_head and self.parser is not None:
            # What came before in the same piece may be a body; one piece is small enough not to be counted.
            self._head_bytes += len(data) if begun else 0
            if self._head_bytes > self.header_bytes:
                self._refuse(431, _TOO_LARGE)
            elif self._head_timer is None:
                self._head_timer = self.loop.call_later(self.header_seconds, self._too_slow)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        self._end_timer()
        super().on_headers_complete()
        # Its task was made and has not begun. Having another class of cycle made would mean to repeat uvicorn's method.
        self.cycle.__class__ = WholeCycle
        self.scope["extensions"] = EXTENSIONS
        if self._ending:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # Who was answered before its body had come may send the rest, but not for ever: nobody reads it any more, and
        # each of its bytes puts off uvicorn's own end of idle connections.
        if self.cycle.more_body and self.cycle.response_complete and self._head_timer is None:
            self._head_timer = self.loop.call_later(self.header_seconds, self._too_slow)

    def shutdown(self) -> None:
        """uvicorn calls this on each connection when it is told to end."""
        self._ending = True
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._linger()
        elif cycle.response_started:
            # Its head has not told the caller that the connection ends, who may go on with another call.
            self.timeout_keep_alive = _LINGER_SECONDS
        else:
            cycle.keep_alive = False

    def _linger(self) -> None:
        now, timer = self.loop.time(), self.timeout_keep_alive_task
        idle = now - (timer.when() - self.timeout_keep_alive) if timer is not None else 0.0
        self._unset_keepalive_if_required()
        if idle >= _LINGER_SECONDS:
            self.transport.close()
        else:
            self.timeout_keep_alive_task = self.loop.call_later(_LINGER_SECONDS - idle, self.timeout_keep_alive_handler)

    def _end_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """uvicorn calls this for what is no HTTP."""
        self._refuse(400, msg)

    def _refuse(self, status: int, text: str) -> None:
        if not self.transport.is_closing():
            head = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n" % len(text)
            told = b"%b: %b\r\nconnection: close\r\n\r\n" % NO_SNIFFING
            self.transport.write(STATUS_LINE[status] + head + told + text.encode("ascii"))
            self.transport.close()
