"""A fake of OpenAI's server, built from its published format (https://platform.openai.com/docs/api-reference): it keeps
what it was asked, and answers what a test puts in line, else something sensible."""

import asyncio
import contextlib
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 2,
    "total_tokens": 13,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 1},
}


@dataclass
class Asked:
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class FakeVendor:
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    line: deque[Response | Callable[[], Any]] = field(default_factory=deque)
    """Answers that come first, one for each request; or what makes one, or only takes its time."""
    text: str = "Hello there"

    def answer(self, status: int, body: Any, **headers: str) -> None:
        """Put an answer in line."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, str):
            self.line.append(Response(body, status, names, media_type=names.pop("content-type", "text/html")))
        else:
            self.line.append(JSONResponse(body, status, names))

    def error(self, status: int, code: str, message: str = "no", **headers: str) -> None:
        """Put an error in line, in OpenAI's shape."""
        self.answer(
            status, {"error": {"message": message, "type": "some_error", "param": None, "code": code}}, **headers
        )

    async def serve(self, request: Request) -> Response:
        raw = await request.body()
        body = json.loads(raw) if raw.startswith(b"{") else raw.decode() or None
        self.asked.append(Asked(request.url.path, dict(request.headers), body))
        if self.line:
            first = self.line.popleft()
            if isinstance(first, Response):
                return first
            if isinstance(made := await first(), Response):
                return made
        return self._sensible(request.url.path, body)

    def _sensible(self, path: str, body: Any) -> Response:
        if path.endswith("/chat/completions") and body.get("stream"):
            return StreamingResponse(self._events(body), media_type="text/event-stream")
        if path.endswith("/completions"):
            chat = path.endswith("/chat/completions")
            said = {"message": {"role": "assistant", "content": self.text}} if chat else {"text": self.text}
            choices = [{"index": 0, **said, "finish_reason": "stop"}]
            return JSONResponse({"id": "x", "model": body["model"], "choices": choices, "usage": USAGE})
        if path.endswith("/embeddings"):
            data = [{"index": i, "embedding": [float(len(text)), 1.0]} for i, text in enumerate(body["input"])]
            return JSONResponse({"data": data, "usage": {"prompt_tokens": 5, "total_tokens": 5}})
        if path.endswith("/rerank"):
            results = [{"index": i, "relevance_score": 1 / (i + 1)} for i in range(len(body["documents"]))]
            return JSONResponse({"results": results, "usage": {"total_tokens": 7}})
        return JSONResponse({"error": {"message": f"no route {path}", "code": None}}, 404)

    async def _events(self, body: Any) -> AsyncIterator[str]:
        for word in self.text.split(" "):
            yield _event({"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]})
        yield _event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if (body.get("stream_options") or {}).get("include_usage"):
            yield _event({"choices": [], "usage": USAGE})
        yield "data: [DONE]\n\n"


def _event(data: Any) -> str:
    return f"data: {json.dumps(data)}\n\n"


@contextlib.asynccontextmanager
async def serving(vendor: FakeVendor, tls: ssl.SSLContext | None = None) -> AsyncIterator[FakeVendor]:
    """``vendor`` on a free port, with ``tls`` over HTTPS."""
    app = Starlette(routes=[Route("/{path:path}", vendor.serve, methods=["POST", "GET"])])
    config = uvicorn.Config(app, port=0, log_level="warning", lifespan="off")
    config.load()
    if tls is not None:
        config.ssl = tls
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[method-assign]
    task = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    vendor.url = f"{'https' if tls else 'http'}://{'localhost' if tls else '127.0.0.1'}:{port}/v1"
    try:
        yield vendor
    finally:
        server.should_exit = True
        server.force_exit = True
        await task
