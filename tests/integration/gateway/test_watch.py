"""Clients that take their time, or leave, seen from within one call's task."""

import asyncio

import pytest

from modelyard.errors import MalformedRequest
from modelyard.gateway.metering import ClientGone
from modelyard.http.inference.response import Watch


class Client:
    """An ASGI ``receive`` that a test feeds."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def receive(self) -> dict[str, str]:
        return await self.messages.get()


async def test_a_body_that_takes_too_long_is_given_up() -> None:
    client = Client()
    with pytest.raises(MalformedRequest) as caught, Watch(client.receive, body_seconds=0.05):
        await client.receive()
    assert caught.value.code == "body_too_slow"


@pytest.mark.parametrize("late", [False, True])
async def test_a_client_that_leaves_ends_the_call(late: bool) -> None:
    client = Client()

    async def call() -> None:
        with Watch(client.receive) as watch:
            if late:
                await asyncio.sleep(0.1)  # a body that took a while
            watch.body_is_here()
            client.messages.put_nowait({"type": "http.disconnect"})
            await asyncio.sleep(20)

    with pytest.raises(ClientGone):
        await call()


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    client = Client()

    async def call() -> None:
        with Watch(client.receive) as watch:
            watch.body_is_here()
            await asyncio.sleep(20)

    task = asyncio.create_task(call())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_nothing_is_left_running() -> None:
    client = Client()
    before = len(asyncio.all_tasks())
    with Watch(client.receive) as watch:
        watch.body_is_here()
        await asyncio.sleep(0.1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before
