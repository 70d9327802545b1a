"""Time, as a thing that is passed in.

Nothing outside this file asks the operating system what time it is when the answer decides
something: deciders take ``now`` as an argument, loops take a `Clock`. Tests bring
`modelyard.testing.FakeClock`.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What a loop needs to know and do about time."""

    def now(self) -> datetime:
        """The wall clock, timezone-aware, UTC."""

    def monotonic(self) -> float:
        """Seconds that never run backwards, for durations."""

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` of this clock's time."""


class SystemClock:
    """The operating system's time."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
