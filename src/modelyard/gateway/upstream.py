"""Requests to workers: time-outs, and failures told apart by whether another try is safe."""

from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from urllib.parse import quote, urlsplit

from modelyard.errors import ModelyardError, Unavailable, UpstreamError, UpstreamTimeout
from modelyard.gateway.adapters.wire import Headers, WireRequest
from modelyard.gateway.connections import VENDOR_KEEP_ALIVE_SECONDS, Connection, Cut, Garbage, Pool, Silence
from modelyard.gateway.opening import Opener
from modelyard.settings import GatewaySettings

MAX_ERROR_BYTES = 64 * 1024
_MAX_KNOWN = 10_000
_PATH = "/?&=%:@!$'()*+,;~-._"
"""What stays as it is in a template's predict_route; anything else, such as a line's end, is escaped."""


class Way(Enum):
    """How a connection is made; the methods of `modelyard.gateway.opening.Opener`."""

    DIRECT = auto()
    OUTWARD = auto()
    GUARDED = auto()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an answer may take, in seconds, what whoever gives it is called in errors, and how it is reached."""

    first_byte: float
    total: float
    who: str = "The model's worker"
    way: Way = Way.DIRECT


class Lost(Exception):
    """The worker was lost before the first byte of its answer: another try is safe. ``error`` is what the
    caller learns if there is none; ``unreachable`` says that not even a connection was possible."""

    def __init__(self, error: ModelyardError, *, unreachable: bool) -> None:
        super().__init__(str(error))
        self.error = error
        self.unreachable = unreachable


class Answer:
    """An answer whose status and headers are here. Must be read to its end or closed; closing early closes
    the connection, which is how an engine learns to stop."""

    __slots__ = ("_connection", "_who", "status")

    def __init__(self, connection: Connection, who: str) -> None:
        self._connection: Connection | None = connection
        self._who = who
        self.status = connection.status

    @property
    def content_type(self) -> str:
        assert self._connection is not None
        return self._connection.headers.get(b"content-type", b"application/octet-stream").decode("latin-1")

    def header(self, name: str) -> str | None:
        """The value of the header ``name`` (in lower case), where there is one."""
        assert self._connection is not None
        value = self._connection.headers.get(name.encode("ascii"))
        return None if value is None else value.decode("latin-1")

    @property
    def is_stream(self) -> bool:
        """Whether the body is an event stream."""
        assert self._connection is not None
        return self._connection.headers.get(b"content-type", b"").startswith(b"text/event-stream")

    async def read(self) -> bytes:
        """The whole body."""
        assert self._connection is not None
        try:
            return await self._connection.read()
        except (Cut, Garbage, Silence) as error:
            raise _broken(error, self._who) from error
        finally:
            self.close()

    async def read_start(self) -> bytes:
        """The body's beginning, which is all of a sensible error message."""
        start = b""
        try:
            while len(start) < MAX_ERROR_BYTES and (piece := await self.read_some()):
                start += piece
        except ModelyardError:
            pass  # what came of the explanation is better than none
        finally:
            self.close()
        return start[:MAX_ERROR_BYTES]

    async def read_some(self) -> bytes:
        """What has come of the body since the last time, waiting for some; empty at the end."""
        assert self._connection is not None
        try:
            return await self._connection.read_some()
        except (Cut, Garbage, Silence) as error:
            raise _broken(error, self._who) from error

    def close(self) -> None:
        """Keep the connection if the body was read to its end, else close it. May be repeated."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.finish()


class Upstream:
    def __init__(self, settings: GatewaySettings, ca_file: Path | None = None) -> None:
        """``ca_file``: further certificate authorities for https addresses."""
        self._patience = Patience(settings.first_byte_seconds, settings.total_seconds)
        opener, seconds = Opener(ca_file), settings.connect_seconds
        self._workers = Pool(seconds, opener.direct)
        self._pools = {
            Way.DIRECT: self._workers,
            Way.OUTWARD: Pool(seconds, opener.outward, VENDOR_KEEP_ALIVE_SECONDS),
            Way.GUARDED: Pool(seconds, opener.guarded, VENDOR_KEEP_ALIVE_SECONDS),
        }
        self._heads: dict[tuple[str, str, str], bytes] = {}

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()

    async def send(
        self, address: str, request: WireRequest, patience: Patience | None = None, headers: Headers = ()
    ) -> Answer:
        """Send ``request`` with further ``headers`` to whoever listens at ``address``; returns with the answer's own.

        Raises `Lost` before the first byte of an answer, `UpstreamTimeout` when it does not come in time.
        """
        patience = patience or self._patience
        who = patience.who
        try:
            pool = self._workers if patience is self._patience else self._pools[patience.way]
            connection = await pool.connection(address)
        except (OSError, TimeoutError, UnicodeError) as error:  # the last: what is no name at all
            gone = Unavailable(f"{who} cannot be reached.", code="worker_unreachable")
            raise Lost(gone, unreachable=True) from error
        try:
            connection.request(self._encoded(address, request, headers), patience.first_byte, patience.total)
            await connection.wait_headers()
        except Cut as cut:
            connection.finish()
            if cut.begun:
                raise _broken(cut, who) from cut
            lost = UpstreamError(f"{who} closed the connection without an answer.", code="upstream_lost")
            raise Lost(lost, unreachable=False) from cut
        except Silence as error:
            connection.finish()
            raise UpstreamTimeout(f"{who} took too long to answer.") from error
        except Garbage as error:
            connection.finish()
            raise UpstreamError(f"{who} does not speak HTTP: {error}.", code="upstream_garbage") from error
        except BaseException:
            connection.finish()
            raise
        return Answer(connection, who)

    def _encoded(self, address: str, request: WireRequest, headers: Headers) -> bytes:
        key = (request.method, address, request.path)
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= _MAX_KNOWN:  # workers come and go
                self._heads.clear()
            head = self._heads[key] = _head(*key)
        if headers or request.headers:
            more = "".join([f"{name}: {value}\r\n" for name, value in request.headers + headers]).encode("ascii")
            return b"%b%bcontent-length: %d\r\n\r\n%b" % (head, more, len(request.body), request.body)
        return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(request.body), request.body)


def _head(method: str, address: str, path: str) -> bytes:
    url = urlsplit(address)
    lines = (
        f"{method} {quote(url.path.rstrip('/') + path, safe=_PATH)} HTTP/1.1",
        f"host: {url.netloc}",
        "accept: */*",
        "content-type: application/json",
        "",
    )
    return "\r\n".join(lines).encode("ascii")


def _broken(error: Cut | Garbage | Silence, who: str) -> ModelyardError:
    if isinstance(error, Silence):
        return UpstreamTimeout(f"{who} stopped in the middle of its answer.")
    if isinstance(error, Garbage):
        return UpstreamError(f"{who} gave an answer that cannot be read: {error}.", code="upstream_garbage")
    msg = f"{who} broke the connection in the middle of its answer."
    return UpstreamError(msg, code="upstream_cut_off")
