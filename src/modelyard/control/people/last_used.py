"""When keys were last used: written down once a minute at most, away from the calls' path."""

import asyncio
from datetime import datetime, timedelta

import structlog

from modelyard.errors import Unavailable
from modelyard.store import Store

log = structlog.get_logger(__name__)

EVERY = timedelta(minutes=1)
"""A key's last use is written down at most so often, by all gateways together."""
FLUSH_SECONDS = 5.0
_MAX = 100_000


class LastUsed:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._used: dict[str, datetime] = {}
        self._written: dict[str, datetime] = {}

    def note(self, key_id: str, at: datetime) -> None:
        """A key was used; costs two look-ups in memory. Where clocks were set back, the latest use stays."""
        before = self._written.get(key_id)
        if before is not None and at - before < EVERY:
            return
        if key_id in self._used or len(self._used) < _MAX:
            self._used[key_id] = at

    async def flush(self) -> None:
        """Write down what was noted. What cannot be written now is kept for the next time."""
        used, self._used = self._used, {}
        if not used:
            return
        try:
            async with self._store.begin() as tx:
                await tx.accounts.note_used(used, EVERY)
        except Unavailable:
            self._used = {**used, **self._used}
            return
        if len(self._written) > _MAX:
            self._written.clear()
        self._written.update(used)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
            except Exception:
                log.exception("writing down when keys were used failed")
