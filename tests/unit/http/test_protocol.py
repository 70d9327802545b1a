"""What comes before a body is bounded, in size and in time; what is usual passes; the end of a server loses no call."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from modelyard.http import server as http_server
from modelyard.http.protocol import bounded
from modelyard.settings import SecuritySettings, Settings

GET = b"GET / HTTP/1.1\r\nhost: x\r\n"


async def refuses(port: int) -> None:
    """Wait until nobody listens there."""
    async with asyncio.timeout(10):
        while True:
            try:
                (await asyncio.open_connection("127.0.0.1", port))[1].close()
            except OSError:
                return
            await asyncio.sleep(0.01)


async def count(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the size of the body; with a head before it has read the body, and in pieces, where one asks so; or
    without reading it at all."""
    if (b"x-halting", b"yes") in scope["headers"]:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()
        await send({"type": "http.response.body", "body": b"end"})
        return
    size, more = 0, (b"x-unread", b"yes") not in scope["headers"]
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = str(size).encode()
    head = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})


@dataclass(slots=True)
class Running:
    server: uvicorn.Server
    port: int

    def end(self) -> None:
        self.server.should_exit = True


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    settings = SecuritySettings(header_bytes=4096, header_seconds=1.5)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(count, http=bounded(settings), lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    there = Running(server, listener.getsockname()[1])
    yield there
    there.end()
    await serving


@pytest.fixture
def port(running: Running) -> int:
    return running.port


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def at(cls, port: int) -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        with suppress(ConnectionError):
            await self._writer.drain()

    async def answer(self) -> tuple[bytes, bytes]:
        """Status and body of the next answer."""
        return (await self.whole())[1:]

    async def whole(self) -> tuple[bytes, bytes, bytes]:
        """Head, status and body of the next answer."""
        head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 10)
        length = next(
            int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        return head, head.split(b" ")[1], await asyncio.wait_for(self._reader.readexactly(length), 10)

    async def line(self) -> bytes:
        return await asyncio.wait_for(self._reader.readline(), 10)

    async def until(self, end: bytes) -> None:
        await asyncio.wait_for(self._reader.readuntil(end), 10)

    async def is_closed(self) -> bool:
        with suppress(ConnectionError):
            return await asyncio.wait_for(self._reader.read(), 10) == b""
        return True


async def test_what_is_usual_passes_and_the_connection_stays(port: int) -> None:
    client = await Client.at(port)
    for size in (0, 10, 300_000):
        await client.send(GET + b"content-length: %d\r\n\r\n" % size + b"x" * size)
        assert await client.answer() == (b"200", str(size).encode())
    await client.send((GET + b"\r\n") * 3)
    for _ in range(3):
        assert await client.answer() == (b"200", b"0")


async def test_headers_without_end_are_refused_before_they_fill_the_memory(port: int) -> None:
    client = await Client.at(port)
    await client.send(GET + b"x-long: ")
    await asyncio.sleep(0.05)
    for _ in range(5):
        await client.send(b"a" * 900)
        await asyncio.sleep(0.05)  # what the server has not read when it closes would break its answer off
    assert (await client.answer())[0] == b"431"
    assert await client.is_closed()


async def test_many_small_headers_are_refused_too(port: int) -> None:
    client = await Client.at(port)
    await client.send(GET)
    await asyncio.sleep(0.05)
    for start in range(0, 500, 100):
        await client.send(b"".join(b"x-%d: y\r\n" % number for number in range(start, start + 100)))
        await asyncio.sleep(0.05)
    assert (await client.answer())[0] == b"431"


@pytest.mark.parametrize("begun", [b"", b"GET", GET, GET + b"x-slow: a"])
async def test_headers_that_take_too_long_end_the_connection(port: int, begun: bytes) -> None:
    client = await Client.at(port)
    await client.send(begun)
    assert await client.is_closed()


async def test_so_do_those_of_a_second_request(port: int) -> None:
    client = await Client.at(port)
    await client.send(GET + b"\r\n")
    assert await client.answer() == (b"200", b"0")
    await client.send(GET)
    assert await client.is_closed()


async def test_a_body_may_take_its_time(port: int) -> None:
    client = await Client.at(port)
    await client.send(GET + b"content-length: 2\r\n\r\n")
    await asyncio.sleep(2)
    await client.send(b"ab")
    assert await client.answer() == (b"200", b"2")


async def test_a_server_that_ends_takes_the_call_that_is_on_its_way(running: Running) -> None:
    client = await Client.at(running.port)
    await client.send(GET + b"\r\n")
    assert b"connection: close" not in (await client.whole())[0]
    running.end()
    await refuses(running.port)
    await client.send(GET + b"content-length: 2\r\n\r\nab")
    head, status, body = await client.whole()
    assert (status, body) == (b"200", b"2")
    assert b"connection: close" in head
    assert await client.is_closed()


async def test_a_stream_that_goes_on_while_the_server_ends_may_be_followed_by_one_more_call(running: Running) -> None:
    client = await Client.at(running.port)
    await client.send(GET + b"x-halting: yes\r\ncontent-length: 1\r\n\r\n")
    assert await client.line() == b"HTTP/1.1 200 OK\r\n"
    running.end()
    await refuses(running.port)
    await client.send(b"x")
    await client.until(b"0\r\n\r\n")
    await client.send(GET + b"\r\n")
    head, status, _ = await client.whole()
    assert status == b"200"
    assert b"connection: close" in head


async def test_a_connection_that_nobody_uses_does_not_hold_a_server_that_ends(running: Running) -> None:
    client = await Client.at(running.port)
    await client.send(GET + b"\r\n")
    await client.answer()
    running.end()
    assert await client.is_closed()


async def test_a_body_that_nobody_reads_any_more_is_not_taken_for_ever(port: int) -> None:
    client = await Client.at(port)
    await client.send(GET + b"x-unread: yes\r\ncontent-length: 1000000\r\n\r\n")
    assert await client.answer() == (b"200", b"0")
    closed = asyncio.create_task(client.is_closed())
    async with asyncio.timeout(10):
        while not closed.done():
            await client.send(b"x")
            await asyncio.sleep(0.05)
    assert closed.result()


async def test_a_body_that_comes_after_its_answer_leaves_the_connection_open(port: int) -> None:
    client = await Client.at(port)
    for _ in range(2):
        await client.send(GET + b"x-unread: yes\r\ncontent-length: 5\r\n\r\n")
        assert await client.answer() == (b"200", b"0")
        await client.send(b"later")
    await client.send(GET + b"content-length: 3\r\n\r\nnow")
    assert await client.answer() == (b"200", b"3")


@pytest.mark.parametrize(("request_", "status"), [(b"no HTTP\r\n\r\n", b"400"), (GET + b"x-a: " + b"a" * 5000, b"431")])
async def test_no_browser_guesses_what_is_said_before_any_call(port: int, request_: bytes, status: bytes) -> None:
    client = await Client.at(port)
    await client.send(request_[:20])
    await asyncio.sleep(0.05)
    await client.send(request_[20:])
    head, told, _ = await client.whole()
    assert told == status
    assert b"x-content-type-options: nosniff" in head


async def test_the_server_itself_has_these_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "_settle_memory", lambda: None)  # which would be for all tests to come
    settings = Settings(data_dir=tmp_path, port=0, security=SecuritySettings(header_bytes=2048, header_seconds=1))
    with closing(http_server.listening_socket(settings)) as listener:
        assert listener.getsockname()[0] == "127.0.0.1", "unless another address is asked for"
        listens, ends = asyncio.Event(), signal.SIGUSR2
        serving = asyncio.create_task(
            http_server.serve(count, settings, listener, asyncio.Event(), listens.set, (ends,))
        )
        await asyncio.wait_for(listens.wait(), 60)
        slow, large = [await Client.at(listener.getsockname()[1]) for _ in range(2)]
        await slow.send(GET)
        await large.send(GET)
        await asyncio.sleep(0.05)
        await large.send(b"x-a: " + b"a" * 4000)
        assert (await large.answer())[0] == b"431"
        assert await slow.is_closed()
        os.kill(os.getpid(), ends)
        await asyncio.wait_for(serving, 60)
