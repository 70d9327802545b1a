"""A worker that answers chat completions at once, from memory: what is left to measure is the way to it.

    python benchmarks/stub_upstream.py --port 9000 [--chunks 64] [--interval 0.0]

Speaks as much of the OpenAI-compatible format as the benchmarks need: POST /v1/chat/completions, streamed or
not, and GET /health. One event-loop protocol over httptools, no framework: it must not be the bottleneck.
"""

import argparse
import asyncio
from typing import Any

import httptools
import msgspec
import uvloop

_USAGE = {"prompt_tokens": 12, "completion_tokens": 8, "total_tokens": 20}
_ANSWER = msgspec.json.encode(
    {
        "id": "chatcmpl-stub",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "stub",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "This is an answer from the stub."},
                "finish_reason": "stop",
            }
        ],
        "usage": _USAGE,
    }
)


def _whole(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _event(fields: dict[str, Any]) -> bytes:
    common = {"id": "chatcmpl-stub", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "stub"}
    data = b"data: " + msgspec.json.encode({**common, **fields}) + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


_OK = _whole("200 OK", _ANSWER)
_HEALTH = _whole("200 OK", b'{"status":"ok"}')
_NOT_FOUND = _whole("404 Not Found", b'{"error":{"message":"no such route"}}')
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_FIRST = _event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
_PIECE = _event({"choices": [{"index": 0, "delta": {"content": " word"}, "finish_reason": None}]})
_LAST = _event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
_COUNTS = _event({"choices": [], "usage": _USAGE})
_DONE = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


class Stub(asyncio.Protocol):
    def __init__(self, chunks: int, interval: float) -> None:
        self._chunks = chunks
        self._interval = interval
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._body = b""
        self._streams: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def connection_lost(self, error: Exception | None) -> None:
        for task in self._streams:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url = url
        self._body = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._url == b"/health":
            self._transport.write(_HEALTH)
        elif self._url != b"/v1/chat/completions":
            self._transport.write(_NOT_FOUND)
        elif b'"stream":true' in self._body or b'"stream": true' in self._body:
            self._begin_stream()
        else:
            self._transport.write(_OK)

    def _begin_stream(self) -> None:
        if not self._interval:
            self._transport.write(_STREAM_HEAD + _FIRST)
            for _ in range(self._chunks):
                self._transport.write(_PIECE)
            self._transport.write(_LAST + _COUNTS + _DONE)
            return
        task = asyncio.get_running_loop().create_task(self._slowly())
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)

    async def _slowly(self) -> None:
        self._transport.write(_STREAM_HEAD + _FIRST)
        for _ in range(self._chunks):
            await asyncio.sleep(self._interval)
            self._transport.write(_PIECE)
        self._transport.write(_LAST + _COUNTS + _DONE)


async def serve(port: int, chunks: int, interval: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Stub(chunks, interval), "127.0.0.1", port, backlog=1024)
    print(f"stub upstream on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--chunks", type=int, default=64, help="pieces of a streamed answer")
    parser.add_argument("--interval", type=float, default=0.0, help="seconds between them")
    options = parser.parse_args()
    uvloop.run(serve(options.port, options.chunks, options.interval))


if __name__ == "__main__":
    main()
