"""Calls that are over are settled at once where limits wait for what they give back."""

import asyncio
from datetime import UTC, datetime

from modelyard.control.usage.writer import UsageWriter
from modelyard.domain.usage import Reservation
from modelyard.settings import UsageSettings
from modelyard.store import Store
from modelyard.testing.clock import FakeClock
from modelyard.testing.usage import make_usage

HELD = Reservation("limit", "concurrent_calls", datetime(1970, 1, 1, tzinfo=UTC), 1)


async def test_what_holds_a_limit_is_written_at_once_and_the_rest_in_its_time(store: Store, clock: FakeClock) -> None:
    usage = UsageWriter(store, clock, UsageSettings())  # whose time stands still
    writing = asyncio.create_task(usage.run())
    await clock.advance(0)
    usage.record(make_usage())
    await clock.advance(0)
    assert usage.waiting == 1
    usage.record(make_usage(reserved=(HELD,)))
    async with asyncio.timeout(60):
        while usage.waiting:
            await asyncio.sleep(0.01)
    writing.cancel()
