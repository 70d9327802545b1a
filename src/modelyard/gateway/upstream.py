"""HTTP to workers: pooled connections, time-outs, and failures told apart by whether a retry is safe."""

import asyncio
from collections.abc import AsyncGenerator

import aiohttp
from yarl import URL

from modelyard.errors import ModelyardError, Unavailable, UpstreamError, UpstreamTimeout
from modelyard.gateway.adapters.wire import WireRequest
from modelyard.settings import GatewaySettings

KEEP_ALIVE_SECONDS = 4.0
"""Less than the 5 s after which uvicorn and llama.cpp's server close an idle connection, so that a request
seldom meets one that is being closed."""

MAX_ERROR_BYTES = 64 * 1024


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

    __slots__ = ("_response", "content_type", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.content_type = response.headers.get("content-type", "application/octet-stream")

    async def read(self) -> bytes:
        """The whole body."""
        try:
            return await self._response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _broken(error) from error
        finally:
            self.close()

    async def read_start(self) -> bytes:
        """The body's beginning, which is all of a sensible error message."""
        try:
            return await self._response.content.read(MAX_ERROR_BYTES)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return b""
        finally:
            self.close()

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives, one piece for each read of the connection."""
        content = self._response.content
        try:
            while piece := await content.readany():
                yield piece
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _broken(error) from error
        finally:
            self.close()

    def close(self) -> None:
        """Give the connection back to the pool if the body was read to its end, else close it."""
        self._response.close()


class Upstream:
    def __init__(self, settings: GatewaySettings) -> None:
        self._timeout = aiohttp.ClientTimeout(
            total=settings.total_seconds,
            sock_connect=settings.connect_seconds,
            sock_read=settings.first_byte_seconds,
        )
        self._session: aiohttp.ClientSession | None = None
        self._addresses: dict[str, URL] = {}

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS, use_dns_cache=True),
            headers={"content-type": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            auto_decompress=True,
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
        )

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, address: str, request: WireRequest) -> Answer:
        """Send ``request`` to the worker at ``address``; returns with the answer's headers.

        Raises `Lost` before them, `UpstreamTimeout` when they do not come in time.
        """
        assert self._session is not None, "start() comes first"
        try:
            response = await self._session.request(
                request.method,
                self._url(address, request.path),
                data=request.body or None,
                headers=request.headers,
                allow_redirects=False,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            gone = Unavailable("The model's worker cannot be reached.", code="worker_unreachable")
            raise Lost(gone, unreachable=True) from error
        except TimeoutError as error:
            raise UpstreamTimeout("The model's worker took too long to answer.") from error
        except (aiohttp.ClientConnectionError, OSError) as error:
            cut = UpstreamError("The model's worker closed the connection without an answer.", code="upstream_lost")
            raise Lost(cut, unreachable=False) from error
        except aiohttp.ClientError as error:
            raise UpstreamError(f"The model's worker does not speak HTTP: {_words(error)}") from error
        return Answer(response)

    def _url(self, address: str, path: str) -> URL:
        whole = address + path
        url = self._addresses.get(whole)
        if url is None:
            if len(self._addresses) > 10_000:  # workers come and go
                self._addresses.clear()
            url = self._addresses[whole] = URL(whole)
        return url


def _broken(error: BaseException) -> ModelyardError:
    if isinstance(error, asyncio.TimeoutError):
        return UpstreamTimeout("The model's worker stopped in the middle of its answer.")
    return UpstreamError(
        "The connection to the model's worker broke in the middle of its answer.", code="upstream_cut_off"
    )


def _words(error: aiohttp.ClientError) -> str:
    return str(getattr(error, "message", "") or error)[:200]
