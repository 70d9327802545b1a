"""Clients that take their time, or leave, seen from within one call's task."""

import asyncio
from typing import Any

import pytest

from modelyard.errors import MalformedRequest
from modelyard.gateway.metering import ClientGone
from modelyard.http.inference import response as response_module
from modelyard.http.inference.response import Response, Watch


class Client:
    """An ASGI ``receive`` that a test feeds, and a ``send`` that waits until the test reads."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        self.response = Response({"type": "http", "path": "/", "headers": []}, self.send)

    async def send(self, message: Any) -> None:
        await self.reads.wait()

    async def receive(self) -> dict[str, str]:
        return await self.messages.get()


async def test_a_body_that_takes_too_long_is_given_up() -> None:
    client = Client()
    with pytest.raises(MalformedRequest) as caught, Watch(client.receive, client.response, body_seconds=0.05):
        await client.receive()
    assert caught.value.code == "body_too_slow"


@pytest.mark.parametrize("late", [False, True])
async def test_a_client_that_leaves_ends_the_call(late: bool) -> None:
    client = Client()

    async def call() -> None:
        with Watch(client.receive, client.response) as watch:
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
        with Watch(client.receive, client.response) as watch:
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
    with Watch(client.receive, client.response) as watch:
        watch.body_is_here()
        await asyncio.sleep(0.1)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before


async def test_a_client_that_stops_reading_ends_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response_module, "STALL_SECONDS", 0.02)
    client = Client()

    async def call() -> None:
        with Watch(client.receive, client.response) as watch:
            watch.body_is_here()
            await client.response.begin(())
            await client.response.piece(b"taken")
            client.reads.clear()
            await client.response.piece(b"left lying")

    with pytest.raises(ClientGone):
        await call()


async def test_a_client_that_reads_slowly_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(response_module, "STALL_SECONDS", 0.02)
    client = Client()
    with Watch(client.receive, client.response) as watch:
        watch.body_is_here()
        await client.response.begin(())
        # Nothing to read for long is nothing that the client could be blamed for.
        await asyncio.sleep(0.2)
        for _ in range(20):
            client.reads.clear()
            asyncio.get_running_loop().call_later(0.01, client.reads.set)
            await client.response.piece(b"taken")
    assert client.response.passed == 20
