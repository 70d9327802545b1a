"""Passing a worker's own answer on as it comes, whatever it is."""

import contextlib
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from modelyard.gateway.metering import Call
from modelyard.gateway.service import Forwarded
from modelyard.http.inference.response import Response
from modelyard.http.inference.told import told

COUNTED_BYTES = 64 * 1024
"""Answers longer than this are not looked into."""


Count = Annotated[int, Meta(ge=0, le=2**53)]


class _Usage(Struct):
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None


class _Counts(Struct):
    """Where answers tell what they used: as the native ones do, or as OpenAI's."""

    prompt_tokens: Count | None = None
    response_tokens: Count | None = None
    tokens_used: Count | None = None
    usage: _Usage | None = None


_counts = msgspec.json.Decoder(_Counts)


async def pass_on(call: Call, forwarded: Forwarded, response: Response) -> None:
    """Send what ``forwarded`` brings, a piece for each read; it reads on when the client has taken the last one.
    Token counts that a short JSON answer tells are metered."""
    with contextlib.closing(forwarded):
        sse = forwarded.content_type.startswith("text/event-stream")
        kind = ((b"content-type", forwarded.content_type.encode("latin-1")),)
        counted = bytearray() if forwarded.content_type.startswith("application/json") else None
        await response.begin((*(() if sse else kind), *told(call)), sse=sse)
        async with contextlib.aclosing(forwarded.pieces()) as pieces:
            async for piece in pieces:
                if counted is not None:
                    counted = counted + piece if len(counted) + len(piece) <= COUNTED_BYTES else None
                await response.piece(piece)
        if counted:
            _count(call, bytes(counted))
        call.settle()
        await response.end()


def _count(call: Call, body: bytes) -> None:
    try:
        told = _counts.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return  # nobody said that it would tell
    usage = told.usage or _Usage()
    call.count(
        told.prompt_tokens or usage.prompt_tokens or told.tokens_used, told.response_tokens or usage.completion_tokens
    )
