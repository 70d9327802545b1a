"""Usage records on their way to the store: taken on the hot path, put in a journal, written in batches beside it."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from modelyard.clock import Clock
from modelyard.control.telemetry import metrics
from modelyard.control.usage.journal import Journal, left_behind
from modelyard.domain.usage import UsageRecord
from modelyard.errors import InvalidRequest, Unavailable
from modelyard.logs import write_lines
from modelyard.settings import UsageSettings
from modelyard.store import Store

log = structlog.get_logger(__name__)

_BATCH = 1000
_LINES = 100
"""Log lines written before calls get their turn."""


class UsageWriter:
    """A `modelyard.gateway.ports.UsageSink`. While the database is away records are kept, up to
    ``buffer_records``; the oldest are dropped beyond that, counted in `dropped`, and the log says so."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: UsageSettings,
        *,
        log_calls: bool = True,
        journal: Journal | None = None,
        price: Callable[[UsageRecord], UsageRecord] = lambda record: record,
        tell: Callable[[Sequence[UsageRecord]], None] = lambda _: None,
    ) -> None:
        """``price`` completes a record by what the call cost. ``journal`` keeps what is not in the store yet, should
        the process be killed; None: nothing does. ``tell`` hears of calls as metrics and log do."""
        self._store = store
        self._journal = journal
        self._price = price
        self._tell = tell
        self._clock = clock
        self._settings = settings
        self._log_calls = log_calls
        self._buffer: deque[UsageRecord] = deque()
        self._in_hand: list[UsageRecord] = []
        self._untold: deque[UsageRecord] = deque(maxlen=settings.buffer_records)
        self._flushing = asyncio.Lock()
        self._hurry = asyncio.Event()
        self._away = False
        self._reported = 0
        self._written_at = clock.monotonic()
        self.dropped = 0
        """Records that were given up, because there were too many or because no database could hold them."""

    @property
    def waiting(self) -> int:
        """Records that are not in the database yet."""
        return len(self._buffer) + len(self._in_hand)

    @property
    def lag_seconds(self) -> float:
        """For how long at most a record has waited."""
        return self._clock.monotonic() - self._written_at if self.waiting else 0.0

    @property
    def unjournaled(self) -> int:
        """Records that were not kept on disk, and would be lost if the process were killed."""
        return 0 if self._journal is None else self._journal.missed

    def record(self, record: UsageRecord) -> None:
        """Take one record; never blocks, never raises."""
        if self._journal is not None:
            self._journal.append(record)
        self._untold.append(record)
        self._buffer.append(record)
        if record.reserved:
            self._hurry.set()
        if self.waiting > self._settings.buffer_records:
            self._buffer.popleft()
            self.dropped += 1

    async def recover(self, directory: Path) -> int:
        """Write what servers that were killed left in their journals; how many records that was."""
        with left_behind(directory) as records:
            for start in range(0, len(records), _BATCH):
                await self._write(records[start : start + _BATCH])
        if records:
            log.info("usage.recovered", records=len(records))
        return len(records)

    async def run(self) -> None:
        """Write what is waiting every ``flush_seconds``, for as long as the server lives."""
        while True:
            await self._pause()
            try:
                await self.flush()
            except Exception:
                # Whatever it was, the next round tries again: a record is never given up for it.
                log.exception("usage.not_written", records=self.waiting)

    async def _pause(self) -> None:
        """Until it is time to write: at once where a call is over whose limits wait for what it gives back."""
        waits: list[asyncio.Future[object]] = [
            asyncio.ensure_future(self._clock.sleep(self._settings.flush_seconds)),
            asyncio.ensure_future(self._hurry.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def flush(self) -> bool:
        """Write everything that is waiting. False where the database is away: it is all kept then."""
        async with self._flushing:
            self._hurry.clear()
            await self._tell_new()
            if self._journal is not None:
                self._journal.turn()
            try:
                while self._buffer:
                    await self._write_some()
                if self._journal is not None:
                    self._journal.written()
            except Unavailable as error:
                self._tell_away(error)
                return False
            finally:
                self._tell_dropped()
            self._written_at = self._clock.monotonic()
            if self._away:
                self._away = False
                log.info("usage.written", why="the database is back")
            return True

    async def _write_some(self) -> None:
        self._in_hand = [self._buffer.popleft() for _ in range(min(_BATCH, len(self._buffer)))]
        try:
            await self._write(self._in_hand)
        except BaseException:
            # Also when cancelled: the commit may have been made, but a record that is written twice counts once.
            self._buffer.extendleft(reversed(self._in_hand))
            raise
        finally:
            self._in_hand = []

    async def _write(self, records: list[UsageRecord]) -> None:
        try:
            async with self._store.begin() as tx:
                await tx.usage.add([self._price(record) for record in records])
        except InvalidRequest as error:
            # One that no database can hold must not keep the others from being written.
            if len(records) == 1:
                self.dropped += 1
                log.error("usage.not_storable", record=records[0].id, why=str(error))
                return
            middle = len(records) // 2
            await self._write(records[:middle])
            await self._write(records[middle:])

    async def _tell_new(self) -> None:
        """Metrics and log lines, which need no database."""
        while self._untold:
            some = [self._untold.popleft() for _ in range(min(_LINES, len(self._untold)))]
            metrics.count(some)
            self._tell(some)
            if self._log_calls:
                write_lines("modelyard.calls", "call", map(_line, some))
            await asyncio.sleep(0)

    def _tell_away(self, error: Unavailable) -> None:
        if not self._away:
            log.warning("usage.waiting", records=self.waiting, why=str(error))
        self._away = True

    def _tell_dropped(self) -> None:
        if self.dropped > self._reported:
            log.error("usage.dropped", records=self.dropped - self._reported, in_all=self.dropped)
            self._reported = self.dropped


def _line(record: UsageRecord) -> dict[str, object]:
    first_byte = record.first_byte_seconds
    return {
        "request_id": record.request_id,
        "verb": record.verb.value,
        "outcome": record.outcome.value,
        "error_code": record.error_code,
        "model": record.model_name,
        "deployment": record.deployment_id,
        "served_by": record.served_by or record.deployment_id,
        "account": record.account_id,
        "key": record.key_id,
        "prompt_tokens": record.prompt_tokens,
        "response_tokens": record.response_tokens,
        "first_byte_ms": None if first_byte is None else round(first_byte * 1000, 2),
        "total_ms": round(record.total_seconds * 1000, 2),
        **({} if record.trace is None else {"trace_id": record.trace.trace_id, "span_id": record.trace.span_id}),
    }
