"""Answering once a deployment is ready."""

import asyncio

from fastapi import Request

from modelyard.domain.deployments import Deployment
from modelyard.errors import Unavailable
from modelyard.http.parts import Parts


async def settled(parts: Parts, request: Request, deployment: Deployment) -> Deployment:
    """`Deployments.settled`, for as long as the client listens and the server goes on: a client that repeats the
    call waits on for the same deployment."""
    waiting = asyncio.create_task(parts.deployments.settled(deployment))
    left = asyncio.create_task(_disconnected(request))
    stopping = asyncio.create_task(parts.stopping.wait())
    try:
        await asyncio.wait({waiting, left, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        raise Unavailable(
            f"The server stops; the deployment {deployment.id} is made when it is back.",
            code="server_stopping",
            retry_after=5,
        )
    finally:
        for task in (waiting, left, stopping):
            task.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
