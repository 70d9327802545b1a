"""Fakes of Anthropic's and Google's servers: a `FakeVendor` is given the published answers that the adapters' contract
tests read too."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fake_vendor import FakeVendor
from starlette.responses import Response, StreamingResponse

PUBLISHED = Path(__file__).parents[2] / "contract" / "adapters" / "published"


def answers(vendor: FakeVendor, name: str) -> None:
    """Put the published answer ``name``, as in ``anthropic/chat.json``, in line. Streams come in uneven pieces."""
    body = (PUBLISHED / name).read_bytes()
    if not name.endswith(".sse"):
        vendor.line.append(Response(body, media_type="application/json"))
        return

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 37):
            yield body[start : start + 37]

    vendor.line.append(StreamingResponse(pieces(), media_type="text/event-stream"))


def breaks_off(vendor: FakeVendor, name: str, event: str) -> None:
    """Put half of the published stream ``name`` in line, and a moment later ``event``."""
    whole = (PUBLISHED / name).read_bytes()
    end = b"\r\n\r\n" if b"\r" in whole else b"\n\n"

    async def pieces() -> AsyncIterator[bytes]:
        yield whole[: whole.index(end, len(whole) // 2)] + end
        await asyncio.sleep(0.1)
        yield event.encode() + b"\n\n"

    vendor.line.append(StreamingResponse(pieces(), media_type="text/event-stream"))


def events(text: str) -> list[dict[str, Any]]:
    """The objects in a stream's ``data:`` lines."""
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


def root(vendor: FakeVendor) -> str:
    """The address without the path that OpenAI's format has in it."""
    return vendor.url.removesuffix("/v1")
