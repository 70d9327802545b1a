"""Two bounds of an answer's time: how long nothing may come, and how long all of it may take."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from modelyard.gateway.connections import Connection, Silence

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"


class Timers:
    """The loop of a connection, whose time passes only in `at`."""

    def __init__(self) -> None:
        self._now = 0.0
        self._due: tuple[float, Callable[[], None]] | None = None

    def time(self) -> float:
        return self._now

    def call_later(self, seconds: float, what: Callable[[], None]) -> Any:
        return self.call_at(self._now + seconds, what)

    def call_at(self, due: float, what: Callable[[], None]) -> Any:
        self._due = (due, what)

    def create_future(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    def at(self, now: float) -> None:
        while self._due is not None and self._due[0] <= now:
            (self._now, what), self._due = self._due, None
            what()
        self._now = now


class Transport:
    def write(self, data: bytes) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass


@pytest.fixture
async def asked() -> tuple[Connection, Timers]:
    """A connection whose answer may be silent for 10 s, and take 25 in all."""
    connection, timers = Connection(None), Timers()  # type: ignore[arg-type]
    connection._loop = timers  # type: ignore[assignment]
    connection.connection_made(Transport())  # type: ignore[arg-type]
    connection.request(b"", 10.0, 25.0)
    return connection, timers


async def ends(reading: asyncio.Task[Any]) -> bool:
    """Whether it failed for the time that it took."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return reading.done() and isinstance(reading.exception(), Silence)


async def test_no_first_byte_for_too_long(asked: tuple[Connection, Timers]) -> None:
    connection, timers = asked
    waiting = asyncio.create_task(connection.wait_headers())
    timers.at(9.9)
    assert not await ends(waiting)
    timers.at(10.1)
    assert await ends(waiting)


async def test_what_goes_on_coming_may_take_longer_than_the_first_byte_but_not_for_ever(
    asked: tuple[Connection, Timers],
) -> None:
    connection, timers = asked
    timers.at(8)
    connection.data_received(HEAD)
    for now in (12, 18, 24.9):
        reading = asyncio.create_task(connection.read_some())
        timers.at(now)
        assert not await ends(reading)
        connection.data_received(b"more")
        assert await reading == b"more"
    reading = asyncio.create_task(connection.read_some())
    timers.at(25.1)
    assert await ends(reading)


async def test_silence_in_the_middle(asked: tuple[Connection, Timers]) -> None:
    connection, timers = asked
    connection.data_received(HEAD)
    reading = asyncio.create_task(connection.read_some())
    timers.at(10.1)
    assert await ends(reading)
