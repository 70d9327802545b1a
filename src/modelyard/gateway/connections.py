"""HTTP/1.1 to workers and vendors, as much of it as calling one takes: one request, one answer, connections kept.

Why not a client library: on the hot path it is the largest cost there is. One call of a stub over a kept
connection took aiohttp's client 186 microseconds of CPU and this one 46, on one machine; and this one knows what
a safe retry needs to know: whether even one byte of an answer had come. Parsing is llhttp's (httptools).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import httptools

KEEP_ALIVE_SECONDS = 4.0
"""Less than the 5 s after which uvicorn and llama.cpp's server close an idle connection, so that a request
seldom meets one that is being closed."""

VENDOR_KEEP_ALIVE_SECONDS = 30.0
"""The same for vendors, whose servers keep connections longer, and whose connections cost more."""

HIGH_WATER_BYTES = 256 * 1024
"""Unread bytes of an answer at which reading from the worker pauses until the client has taken some."""

MAX_HEADERS = 256
MAX_BODY_BYTES = 512 * 1024 * 1024
"""Of an answer that is wanted whole: who never ends it must not fill the gateway's memory."""


class Garbage(Exception):
    """What came is no HTTP."""


class Silence(Exception):
    """Nothing came for too long."""


class Cut(Exception):
    """The connection ended before the answer did; ``begun`` tells whether any byte of it had come."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__("connection ended")
        self.begun = begun


class Connection(asyncio.Protocol):
    """One connection, used for one exchange after the other. Never shared while in use."""

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._lost = False
        self.idle_since = 0.0
        self._reset()

    def _reset(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self._busy = False
        self._begun = False
        self._headers_complete = False
        self._complete = False
        self._keep_alive = False
        self._pieces: list[bytes] = []
        self._buffered = 0
        self._paused = False
        self._failure: Exception | None = None

    @property
    def is_open(self) -> bool:
        return not self._lost and not self._transport.is_closing()

    def request(self, data: bytes, silence: float, total: float) -> None:
        """Begin an exchange. `Silence` is raised by its waits when nothing comes for ``silence`` seconds, or when
        it is not over after ``total``."""
        self._busy = True
        now = self._loop.time()
        self._heard_at = now
        self._silence = silence
        self._ends_at = now + total
        self._timer = self._loop.call_later(min(silence, total), self._check_time)
        self._transport.write(data)

    async def wait_headers(self) -> None:
        """Return once status and headers are here."""
        while not self._headers_complete:
            await self._wait()

    async def read(self) -> bytes:
        """The whole body."""
        while not self._complete:
            await self._wait(reading=True)
            if self._buffered > MAX_BODY_BYTES:
                raise Garbage(f"a body of more than {MAX_BODY_BYTES // 1024**2} MiB")
        return self._take()

    async def read_some(self) -> bytes:
        """What has come of the body and was not read yet, waiting for some; empty at the end."""
        while not self._pieces and not self._complete:
            await self._wait(reading=True)
        return self._take()

    def finish(self) -> None:
        """End the exchange: the connection is kept if the answer was read to its end, closed otherwise."""
        if not self._busy:
            return
        if self._timer is not None:
            self._timer.cancel()
        reusable = (
            self._complete
            and self._failure is None
            and self.is_open
            and self._keep_alive
            and not self._transport.get_write_buffer_size()
        )
        self._reset()
        if reusable:
            self.idle_since = self._loop.time()
            self._pool.keep(self)
        else:
            self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self, *, reading: bool = False) -> None:
        if self._failure is not None:
            raise self._failure
        if self._lost:
            raise Cut(begun=self._begun)
        if self._paused and reading:
            # Whoever wants the whole body takes what is there as the worker sends it.
            self._paused = False
            self._transport.resume_reading()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _take(self) -> bytes:
        pieces = self._pieces
        taken = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._buffered = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return taken

    def _check_time(self) -> None:
        now = self._loop.time()
        due = min(self._heard_at + self._silence, self._ends_at)
        if self._paused and now < self._ends_at:
            due = max(due, now + 1)  # it is the client that is slow, not the worker
        if now < due:
            self._timer = self._loop.call_at(due, self._check_time)
            return
        self._failure = Silence()
        self._wake()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._busy or self._complete:
            self.abort()
            return
        self._begun = True
        self._heard_at = self._loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self._complete:
                self._failure = Garbage(str(error))
            self.abort()
        self._wake()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        if self._headers_complete and error is None and self._until_eof():
            self._complete = True
        self._pool.forget(self)
        self._wake()

    def _until_eof(self) -> bool:
        return b"content-length" not in self.headers and b"transfer-encoding" not in self.headers

    # httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value
        if len(self.headers) > MAX_HEADERS:
            raise Garbage("too many headers")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:
            self.status = status
            self._headers_complete = True

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)
        self._buffered += len(body)
        if self._buffered > HIGH_WATER_BYTES and not self._paused and self.is_open:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._headers_complete:
            self._complete = True
            self._keep_alive = self._parser.should_keep_alive()
        else:
            self.headers.clear()  # an interim answer, such as 100


Open = Callable[[str, Callable[[], Connection]], Awaitable[Connection]]
"""Makes a connection to an address (`modelyard.gateway.opening`); raises OSError where it cannot."""


class Pool:
    """Connections by address (a base URL such as http://127.0.0.1:9000); idle ones are kept for a few seconds."""

    def __init__(self, connect_seconds: float, open_way: "Open", keep_seconds: float = KEEP_ALIVE_SECONDS) -> None:
        """``open_way``: how a new connection is made."""
        self._connect_seconds = connect_seconds
        self._open_way = open_way
        self._keep_seconds = keep_seconds
        self._idle: dict[str, deque[Connection]] = {}
        self._addresses: dict[Connection, str] = {}
        self._closed = False

    async def connection(self, address: str) -> Connection:
        """A connection nobody else uses. Raises OSError or TimeoutError where none can be made."""
        kept = self._idle.get(address)
        if kept:
            oldest = asyncio.get_running_loop().time() - self._keep_seconds
            while kept:
                connection = kept.pop()
                if connection.is_open and connection.idle_since > oldest:
                    return connection
                connection.abort()
        return await self._connect(address)

    async def _connect(self, address: str) -> Connection:
        async with asyncio.timeout(self._connect_seconds):
            connection = await self._open_way(address, lambda: Connection(self))
        self._addresses[connection] = address
        return connection

    def keep(self, connection: Connection) -> None:
        address = self._addresses.get(connection)
        if address is None or self._closed:
            connection.abort()
            return
        self._idle.setdefault(address, deque()).append(connection)

    def forget(self, connection: Connection) -> None:
        address = self._addresses.pop(connection, None)
        kept = self._idle.get(address) if address is not None else None
        if address is None or kept is None:
            return
        if connection in kept:
            kept.remove(connection)
        if not kept:
            del self._idle[address]

    def close(self) -> None:
        self._closed = True
        for connection in list(self._addresses):
            connection.abort()
