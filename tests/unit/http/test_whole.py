"""Whole answers in one write are the same as in two."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from modelyard.http.protocol import bounded
from modelyard.http.whole import takes_whole
from modelyard.settings import SecuritySettings

BODY = b'{"a": "\xc3\xa9"}'


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers ``/whole`` in one piece, ``/two`` in two, ``/stream`` in pieces; ``/wrong`` with two headers in one."""
    assert takes_whole(scope)
    value = b"a\r\nb: c" if scope["path"] == "/wrong" else b"x"
    headers = [(b"content-type", b"application/json"), (b"x-told", value)]
    start = {"type": "http.response.start", "status": 201, "headers": headers}
    if scope["path"] == "/stream":
        await send(start)
        for piece in (b"one", b"", b"two"):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"end"})
        return
    headers.append((b"content-length", str(len(BODY)).encode()))
    if scope["path"] == "/two":
        await send(start)
        await send({"type": "http.response.body", "body": BODY})
    else:
        await send({**start, "body": BODY})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    outer = CORSMiddleware(app, allow_origins=["http://there"])
    config = uvicorn.Config(
        outer, http=bounded(SecuritySettings()), lifespan="off", log_level="critical", date_header=False
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    await serving


async def told(port: int, *requests: bytes) -> bytes:
    """Everything that comes back until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"".join(requests))
    return await asyncio.wait_for(reader.read(), 30)


def request(path: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", "host: x", *headers, "", ""]).encode()


CLOSE = "connection: close"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("headers", [(CLOSE,), (CLOSE, "origin: http://there"), (CLOSE, "origin: http://elsewhere")])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_byte_for_byte(port: int, method: str, headers: tuple[str, ...], version: str) -> None:
    whole = await told(port, request("/whole", *headers, method=method, version=version))
    assert whole == await told(port, request("/two", *headers, method=method, version=version))
    assert whole.startswith(b"HTTP/1.1 201 Created\r\n")
    assert (b"access-control-allow-origin: http://there" in whole) is ("origin: http://there" in headers)


async def test_answers_of_requests_that_come_together_keep_their_order(port: int) -> None:
    both = await told(port, request("/whole"), request("/stream"), request("/two"), request("/whole", CLOSE))
    assert both.count(b"HTTP/1.1 201 Created") == 4
    assert both.count(BODY) == 3
    assert b"3\r\none\r\n3\r\ntwo\r\n3\r\nend\r\n0\r\n\r\nHTTP/1.1 201 Created" in both


async def test_a_header_that_would_be_two_is_not_sent(port: int) -> None:
    assert b"b: c" not in await told(port, request("/wrong", CLOSE))
