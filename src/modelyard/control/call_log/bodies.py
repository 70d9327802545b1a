"""Keeps the content of calls for accounts that want it: beside the calls' path, bounded, redacted before it is stored.

A gateway hands over what it captured; here it waits in a queue that holds so many bytes at most, is prepared in a
thread and written in batches. What does not fit into the queue is dropped and counted, never waited for.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import structlog

from modelyard.clock import Clock
from modelyard.control.call_log.redaction import Redaction
from modelyard.control.call_log.streamed_answers import folded, is_stream
from modelyard.control.following import follow
from modelyard.control.routes import Routes
from modelyard.control.telemetry import metrics
from modelyard.domain.call_logs import CallLogSettings, Captured, Keeps, KeptBody, KeptCall
from modelyard.domain.usage import Outcome
from modelyard.errors import Unavailable
from modelyard.store import Store
from modelyard.store.call_bodies import packed

log = structlog.get_logger(__name__)

_BATCH = 250
_GATHER_SECONDS = 0.25
"""Writing many at once is most of what makes them cheap."""
_AGAIN_SECONDS = 1.0


class BodyKeeper:
    """A `modelyard.gateway.ports.KeepsCalls`, for one process."""

    def __init__(self, store: Store, routes: Routes, clock: Clock, queue_bytes: int) -> None:
        self._store = store
        self._routes = routes
        self._clock = clock
        self._bound = queue_bytes
        self._held = 0
        self._queue: deque[Captured] = deque()
        self._wanted: dict[str, CallLogSettings] = {}
        self._stir = asyncio.Event()

    def wanted(self, account_id: str) -> CallLogSettings | None:
        return self._wanted.get(account_id)

    def keep(self, captured: Captured) -> None:
        if captured.settings.bodies is Keeps.ERRORS and captured.record.outcome is not Outcome.ERROR:
            return
        if self._held + captured.size > self._bound:
            metrics.BODIES_DROPPED.inc()
            return
        self._held += captured.size
        self._queue.append(captured)
        self._stir.set()

    async def run(self) -> None:
        """Write what comes, until cancelled."""
        while True:
            await self._stir.wait()
            await self._clock.sleep(_GATHER_SECONDS)
            self._stir.clear()
            await self.flush()

    async def flush(self) -> None:
        """Write all that waits. While the database is away it waits on, and what comes then may be dropped."""
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
            try:
                await self._write(batch)
            except Unavailable as error:
                log.debug("bodies of calls wait: the database is away", error=str(error))
                self._queue.extendleft(reversed(batch))
                await self._clock.sleep(_AGAIN_SECONDS)
                continue
            except asyncio.CancelledError:
                # The commit may have been made; what is written twice is there once.
                self._queue.extendleft(reversed(batch))
                raise
            except Exception:
                log.exception("bodies of calls could not be kept", calls=len(batch))
                metrics.BODIES_DROPPED.inc(len(batch))
            self._held -= sum(each.size for each in batch)

    async def last(self) -> None:
        """Nothing more comes: write what can be written, and wait for no database."""
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
            try:
                await self._write(batch)
            except Unavailable:
                dropped = len(batch) + len(self._queue)
                log.warning("bodies of calls are dropped: the database is away", calls=dropped)
                metrics.BODIES_DROPPED.inc(dropped)
                return
            except Exception:
                # What comes after this at the end of a server, such as writing usage, must not be kept from it.
                log.exception("bodies of calls could not be kept", calls=len(batch))
                metrics.BODIES_DROPPED.inc(len(batch))

    async def _write(self, batch: Sequence[Captured]) -> None:
        rows = await asyncio.to_thread(_prepared, batch)
        async with self._store.begin() as tx:
            await tx.call_bodies.add(rows)

    async def follow(self) -> None:
        """Keep to what accounts want as it changes, until cancelled."""
        await follow(self._routes, self._clock, self.refresh)

    async def refresh(self) -> None:
        async with self._store.read() as tx:
            every = await tx.call_bodies.all_settings()
        self._wanted = {each.account_id: each for each in every if each.bodies is not Keeps.NONE}


def _prepared(batch: Sequence[Captured]) -> list[dict[str, Any]]:
    redactions: dict[tuple[str, ...], Redaction] = {}
    rows = []
    for captured in batch:
        patterns = captured.settings.redact
        if patterns not in redactions:
            redactions[patterns] = Redaction(patterns)
        rows.append(packed(_kept(captured, redactions[patterns])))
    return rows


def _kept(captured: Captured, redaction: Redaction) -> KeptCall:
    most = captured.settings.max_body_bytes
    answer, cut = b"".join(captured.answer), captured.cut
    if is_stream(answer):
        body = redaction.body(folded(answer), most, cut=False)
        kept_answer = KeptBody(body.text, body.truncated or cut)
    else:
        kept_answer = redaction.body(answer, most, cut=cut)
    record = captured.record
    return KeptCall(
        record.id,
        record.started_at,
        record.account_id,
        captured.path,
        redaction.body(captured.request, most),
        kept_answer,
    )
