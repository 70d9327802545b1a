"""Answers that are passed through: any JSON, any stream, no more of it held than the client can take."""

import asyncio
import gc
import hashlib
import json
import socket
from typing import Any

import pytest
from gateway_house import Asked, House, StartWorker, chunk, until

from modelyard.domain.templates import EndpointProtocol, ModelType
from modelyard.domain.usage import Outcome
from modelyard.gateway.connections import HIGH_WATER_BYTES, Connection
from modelyard.testing.gateway import KEY

GENERIC: dict[str, Any] = {"model_type": ModelType.GENERIC, "protocol": EndpointProtocol.SGP}
EXECUTE = "/v4/models/33333333-3333-4333-8333-333333333333/deployments/chat/execute"

PIECE = 64 * 1024
PIECES = 1024
"""64 MiB in all."""
HELD = 16 * 1024 * 1024
"""What may be on its way at most: the gateway's own HIGH_WATER_BYTES and uvicorn's 64 kB twice, the rest being the
four sockets of the operating system (each up to 4 to 6 MB on the way)."""


class SlowReader:
    """A client that reads when the test says so, on a socket that holds little."""

    def __init__(self, house: House, body: Any) -> None:
        host, _, port = house.base_url.removeprefix("http://").partition(":")
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        self._socket.connect((host, int(port)))
        self._socket.setblocking(False)
        data = json.dumps(body).encode()
        head = f"POST {EXECUTE} HTTP/1.1\r\nhost: x\r\nx-api-key: {KEY}\r\ncontent-length: {len(data)}\r\n\r\n"
        self._request = head.encode() + data

    async def ask(self) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, self._request)

    async def read_all(self) -> bytes:
        """To the last chunk of a chunked body."""
        whole = bytearray()
        while not whole.endswith(b"0\r\n\r\n"):
            piece = await asyncio.get_running_loop().sock_recv(self._socket, 1024 * 1024)
            assert piece, "the answer was cut off"
            whole += piece
        return bytes(whole)

    def close(self) -> None:
        self._socket.close()


def dechunked(raw: bytes) -> bytes:
    body, at = bytearray(), raw.index(b"\r\n\r\n") + 4
    while True:
        end = raw.index(b"\r\n", at)
        size = int(raw[at:end], 16)
        if size == 0:
            return bytes(body)
        body += raw[end + 2 : end + 2 + size]
        at = end + 2 + size + 2


def connections() -> list[Connection]:
    """Those to workers."""
    return [each for each in gc.get_objects() if isinstance(each, Connection) and each.is_open]


async def settled(value: Any) -> int:
    """What ``value()`` gives once it has stopped growing."""
    last, same = -1, 0
    async with asyncio.timeout(60):
        while same < 40:
            await asyncio.sleep(0.01)
            same = same + 1 if value() == last else 0
            last = value()
    return last


@pytest.mark.parametrize("kind", ["application/octet-stream", "text/event-stream"])
async def test_a_client_that_pauses_holds_up_the_worker(house: House, start_worker: StartWorker, kind: str) -> None:
    written, digest = 0, hashlib.sha256()

    async def behave(asked: Asked) -> None:
        nonlocal written
        await asked.begin_stream(kind)
        for number in range(PIECES):
            piece = number.to_bytes(4, "big") * (PIECE // 4)
            await asked.piece(piece)
            digest.update(piece)
            written += PIECE
        await asked.end_stream()

    house.show(await start_worker(behave), **GENERIC)
    reader = SlowReader(house, {"stream": True})
    await reader.ask()
    paused_at = await settled(lambda: written)
    assert 0 < paused_at < HELD < PIECES * PIECE, f"the worker could write {paused_at} bytes that nobody read"
    assert max(each._buffered for each in connections()) <= HIGH_WATER_BYTES + 256 * 1024
    print(f"written {paused_at} of {PIECES * PIECE} bytes while the client paused")
    body = dechunked(await reader.read_all())
    assert (len(body), hashlib.sha256(body).digest()) == (PIECES * PIECE, digest.digest())
    assert (await house.record()).outcome is Outcome.OK
    reader.close()


async def test_a_streamed_text_is_held_up_as_well(house: House, start_worker: StartWorker) -> None:
    written = 0
    text = "x" * PIECE

    async def behave(asked: Asked) -> None:
        nonlocal written
        await asked.begin_stream()
        for _ in range(PIECES):
            await asked.piece(chunk(text))
            written += PIECE
        await asked.piece(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n')
        await asked.end_stream()

    house.show(await start_worker(behave))
    reader = SlowReader(house, {"messages": [{"role": "user", "content": "Hi"}], "stream": True})
    await reader.ask()
    paused_at = await settled(lambda: written)
    assert 0 < paused_at < HELD, f"the worker could write {paused_at} bytes that nobody read"
    assert dechunked(await reader.read_all()).count(text.encode()) == PIECES
    reader.close()


async def test_a_paused_client_that_leaves_frees_its_place(house: House, start_worker: StartWorker) -> None:
    left = asyncio.Event()

    async def behave(asked: Asked) -> None:
        await asked.begin_stream("application/octet-stream")
        try:
            while True:
                await asked.piece(b"x" * PIECE)
        except ConnectionError:
            left.set()

    house.show(await start_worker(behave), **GENERIC)
    reader = SlowReader(house, {"stream": True})
    await reader.ask()
    await until(lambda: house.gateway.in_flight("w0") == 1)
    reader.close()
    async with asyncio.timeout(20):
        await left.wait()
    assert (await house.record()).outcome is Outcome.CANCELLED
    assert house.gateway.in_flight("w0") == 0


@pytest.mark.parametrize("model_type", [ModelType.GENERIC, ModelType.AGENT, ModelType.BUNDLE])
@pytest.mark.parametrize("body", [{"a": [1, None, {"b": "\u0000"}]}, [], "text", 1.5, None, True, {"stream": False}])
async def test_any_json_goes_through_unchanged(
    house: House, start_worker: StartWorker, model_type: ModelType, body: Any
) -> None:
    async def behave(asked: Asked) -> None:
        await asked.answer(asked.body)

    house.show(await start_worker(behave), model_type=model_type, protocol=EndpointProtocol.SGP)
    sent = json.dumps(body, indent=1).encode()
    answer = await house.client.post(EXECUTE, content=sent)
    assert (answer.status_code, answer.content) == (200, sent)


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        ({"prompt_tokens": 3, "response_tokens": 4}, (3, 4)),
        ({"usage": {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}}, (5, 6)),
        ({"tokens_used": 7}, (7, 0)),
        ({"prompt_tokens": "many"}, (0, 0)),
        ({"prompt_tokens": -1}, (0, 0)),
        ({"prompt_tokens": 2**70}, (0, 0)),
        ([1, 2], (0, 0)),
        ({"prompt_tokens": 3, "response_tokens": 4, "long": "x" * 70_000}, (0, 0)),
    ],
)
async def test_counts_that_an_answer_tells_are_metered(
    house: House, start_worker: StartWorker, answer: Any, counts: tuple[int, int]
) -> None:
    async def behave(asked: Asked) -> None:
        await asked.answer(answer)

    house.show(await start_worker(behave), **GENERIC)
    assert (await house.client.post(EXECUTE, json={})).json() == answer
    record = await house.record()
    assert (record.prompt_tokens, record.response_tokens, record.estimated) == (*counts, False)
