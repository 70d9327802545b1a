"""Ends what is kept of calls when its time is over, a batch at a time, so that nobody waits for it."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

import structlog

from modelyard.clock import Clock
from modelyard.errors import Unavailable
from modelyard.store import Store

log = structlog.get_logger(__name__)

SWEEP_SECONDS = 3600.0
BATCH = 1000
_PAUSE_SECONDS = 0.05


class Retention:
    def __init__(self, store: Store, clock: Clock, usage_days: int | None) -> None:
        """``usage_days``: usage records end that are older; None: none ever does."""
        self._store = store
        self._clock = clock
        self._usage_days = usage_days

    async def run(self) -> None:
        """Sweep once an hour until cancelled."""
        while True:
            try:
                await self.sweep()
            except Unavailable as error:
                log.debug("nothing is ended: the store is away", error=str(error))
            except Exception:
                log.exception("ending what is old failed")
            await self._clock.sleep(SWEEP_SECONDS)

    async def sweep(self) -> None:
        now = self._clock.now()
        async with self._store.read() as tx:
            accounts = await tx.call_bodies.all_settings()
        for account in accounts:
            before = now - timedelta(days=account.retention_days)
            await self._all(partial(self._end_bodies, account.account_id, before), "bodies of calls ended")
        if self._usage_days is not None:
            before = now - timedelta(days=self._usage_days)
            await self._all(partial(self._end_records, before), "usage records ended")

    async def _end_bodies(self, account_id: str, before: datetime) -> int:
        async with self._store.begin() as tx:
            return await tx.call_bodies.forget_before(account_id, before, BATCH)

    async def _end_records(self, before: datetime) -> int:
        async with self._store.begin() as tx:
            return await tx.call_logs.forget_before(before, BATCH)

    async def _all(self, end: Callable[[], Awaitable[int]], told: str) -> None:
        ended = 0
        while count := await end():
            ended += count
            if count < BATCH:
                break
            await self._clock.sleep(_PAUSE_SECONDS)
        if ended:
            log.info(told, count=ended)
