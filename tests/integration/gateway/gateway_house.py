"""The gateway behind a real HTTP server, in front of workers that do exactly what a test tells them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from starlette.routing import Router

from modelyard.clock import SystemClock
from modelyard.domain.routes import Endpoint, Route
from modelyard.domain.usage import UsageRecord
from modelyard.gateway.service import Gateway
from modelyard.http.hot import hot_routes
from modelyard.http.hot_first import HotFirst
from modelyard.http.protocol import bounded
from modelyard.settings import GatewaySettings, SecuritySettings
from modelyard.testing.gateway import KEY, FakeKeys, FakeRoutes, FakeWaker, UsageList, make_route

CHAT_ANSWER = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 1},
}


def chunk(text: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"


CHAT_END = (
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n'
    b"data: [DONE]\n\n"
)


@dataclass
class Asked:
    """One request that came to a worker, and what the worker may do about it."""

    method: str
    path: str
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    headers: dict[str, str] = field(default_factory=dict)
    """Names in lower case."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: Any, status: int = 200, kind: str = "application/json") -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n\r\n"
        await self.raw(head.encode() + data)

    async def begin_stream(self, kind: str = "text/event-stream") -> None:
        await self.raw(f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode())

    async def piece(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def end_stream(self) -> None:
        await self.raw(b"0\r\n\r\n")

    async def stream(self, *pieces: bytes) -> None:
        await self.begin_stream()
        for piece in pieces:
            await self.piece(piece)
        await self.end_stream()

    async def reset(self) -> None:
        self.writer.transport.abort()

    async def hang_until_left(self) -> None:
        """Return when the gateway closes the connection."""
        while await self.reader.read(1024):
            pass


Behaviour = Callable[[Asked], Awaitable[None]]


async def answer_chat(asked: Asked) -> None:
    """What a worker does unless told otherwise: it is no llama.cpp, counts nothing, and answers hello."""
    if asked.path == "/v1/chat/completions":
        if asked.json.get("stream"):
            await asked.stream(chunk("Hel"), chunk("lo"), CHAT_END)
        else:
            await asked.answer(CHAT_ANSWER)
    else:
        await asked.answer({"error": {"message": "File Not Found", "code": 404}}, 404)


@dataclass
class Worker:
    """Answers as ``behave`` says; probes of what it can count are answered 404 and kept apart."""

    address: str = ""
    behave: Behaviour = answer_chat
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    counts: bool = False
    """Whether ``behave`` sees requests about counting too."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._one(head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, *headers = head.decode().split("\r\n")
        method, path, _ = line.split(" ")
        length = next((int(item.split(":")[1]) for item in headers if item.startswith("content-length:")), 0)
        asked = Asked(method, path, await reader.readexactly(length), reader, writer)
        asked.headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in headers)}
        if not self.counts and path in ("/props", "/tokenize"):
            await asked.answer({}, 404)
            return
        self.asked.append(asked)
        await self.behave(asked)


@dataclass
class House:
    """A gateway with an HTTP side, its ports in the test's hands."""

    gateway: Gateway
    routes: FakeRoutes
    keys: FakeKeys
    usage: UsageList
    waker: FakeWaker
    client: httpx.AsyncClient
    base_url: str

    def show(self, *workers: Worker, **changes: Any) -> Route:
        endpoints = tuple(Endpoint(f"w{index}", worker.address) for index, worker in enumerate(workers))
        route = make_route(endpoints=endpoints, **changes)
        self.routes.put(route)
        return route

    async def chat(self, model: str = "chat", **body: Any) -> httpx.Response:
        return await self.client.post(
            f"/v4/models/{model}/chat-completions", json={"prompt": "Hi", "chat_history": [], **body}
        )

    async def record(self) -> UsageRecord:
        """The one record there is to be."""
        await until(lambda: bool(self.usage.records))
        (record,) = self.usage.records
        return record


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


StartWorker = Callable[..., Awaitable[Worker]]
Build = Callable[..., Awaitable[House]]


@contextlib.asynccontextmanager
async def open_house(settings: GatewaySettings) -> AsyncIterator[House]:
    routes, keys, usage, waker = FakeRoutes(), FakeKeys(), UsageList(), FakeWaker()
    gateway = Gateway(routes, usage, waker, SystemClock(), settings)
    await gateway.start()
    app = HotFirst(hot_routes(gateway, keys, settings), Router())
    http = bounded(SecuritySettings())
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, http=http, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    )
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    base_url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=base_url, headers={"x-api-key": KEY}, timeout=30) as client:
        yield House(gateway, routes, keys, usage, waker, client, base_url)
    server.should_exit = True
    await serving
    await gateway.aclose()
