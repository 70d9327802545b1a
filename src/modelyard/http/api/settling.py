"""Answering once a deployment is ready."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

from modelyard.domain.deployments import Deployment
from modelyard.errors import Unavailable
from modelyard.http.parts import Parts

T = TypeVar("T")


async def settled(parts: Parts, request: Request, deployment: Deployment) -> Deployment:
    """`Deployments.settled`, as `while_wanted`: a client that repeats the call waits on for the same deployment."""
    words = f"The server stops; the deployment {deployment.id} is made when it is back."
    return await while_wanted(parts, request, parts.deployments.settled(deployment), words)


async def while_wanted(parts: Parts, request: Request, doing: Coroutine[Any, Any, T], words: str) -> T:
    """What ``doing`` gives, for as long as the client listens and the server goes on; ``words`` say that it stops."""
    waiting = asyncio.create_task(doing)
    left = asyncio.create_task(_disconnected(request))
    stopping = asyncio.create_task(parts.stopping.wait())
    try:
        await asyncio.wait({waiting, left, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        raise Unavailable(words, code="server_stopping", retry_after=5)
    finally:
        for task in (waiting, left, stopping):
            task.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
