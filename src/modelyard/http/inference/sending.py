"""Sending answers, whole and in pieces; a call is settled just before the byte that makes its answer whole."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, TypeVar

from modelyard.errors import UpstreamError
from modelyard.gateway.metering import Call
from modelyard.http.inference.heartbeat import Heartbeat
from modelyard.http.inference.response import RawHeaders, Response
from modelyard.http.inference.told import told

B = TypeVar("B", bound=Sequence[Any])


def _ends(batch: Any) -> bool:
    return batch[-1].finish_reason is not None


async def whole(call: Call, response: Response, body: bytes, headers: RawHeaders = ()) -> None:
    call.settle()
    await response.json(body, (*headers, *told(call)))


def history_headers(call: Call) -> RawHeaders:
    """What became of the conversation's history, and what is left of it in tokens."""
    dropped = (b"x-history-messages-dropped", str(call.dropped_messages).encode())
    tokens = call.counted_prompt if call.counted_prompt is not None else call.prompt_tokens
    return (dropped,) if tokens is None else (dropped, (b"x-prompt-tokens", str(tokens).encode()))


async def stream(
    call: Call,
    batches: AsyncGenerator[B, None],
    response: Response,
    write: Callable[[B], bytes],
    heartbeat_seconds: float,
    ends: Callable[[B], bool] = _ends,
    headers: Callable[[Call], RawHeaders] = history_headers,
) -> None:
    """Send what ``write`` makes of each of ``batches``. ``ends`` says of a batch that was written whether it is the
    last one."""
    written = _Written(call, write, ends)
    async with contextlib.aclosing(batches):
        # Headers wait for the first piece, so that whatever fails until then still has its own status.
        async with Heartbeat(response, heartbeat_seconds):
            data = await _next(batches, written)
        if not response.started:
            await response.begin((*headers(call), *told(call)), sse=True)
        await response.piece(data)
        async for batch in batches:
            if data := written(batch):
                await response.piece(data)
        await response.end()


class _Written:
    __slots__ = ("_call", "_ends", "_write")

    def __init__(self, call: Call, write: Callable[[Any], bytes], ends: Callable[[Any], bool]) -> None:
        self._call = call
        self._write = write
        self._ends = ends

    def __call__(self, batch: Any) -> bytes:
        data = self._write(batch)
        if self._ends(batch):
            self._call.settle()
        return data


async def _next(batches: AsyncGenerator[B, None], written: Callable[[B], bytes]) -> bytes:
    async for batch in batches:
        if data := written(batch):
            return data
    raise UpstreamError("The worker's stream was empty.", code="upstream_cut_off")
