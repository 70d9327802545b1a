"""Usage records on their way to the store: taken on the hot path, written in batches beside it."""

from collections import deque

import structlog

from modelyard.clock import Clock
from modelyard.domain.usage import UsageRecord
from modelyard.errors import Unavailable
from modelyard.settings import UsageSettings
from modelyard.store import Store

log = structlog.get_logger(__name__)
calls = structlog.get_logger("modelyard.calls")

_BATCH = 1000


class UsageWriter:
    """A `modelyard.gateway.ports.UsageSink`. While the database is away records are kept, up to
    ``buffer_records``; what had to be dropped beyond that is counted in `dropped`, and said in the log."""

    def __init__(self, store: Store, clock: Clock, settings: UsageSettings, *, log_calls: bool = True) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._log_calls = log_calls
        self._waiting: deque[UsageRecord] = deque()
        self._logged = 0  # how many of the waiting, from the left, have their log line already
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Records that are not in the database yet."""
        return len(self._waiting)

    def record(self, record: UsageRecord) -> None:
        """Take one record; never blocks, never raises."""
        if len(self._waiting) >= self._settings.buffer_records:
            self._waiting.popleft()
            self._logged = max(0, self._logged - 1)
            self.dropped += 1
        self._waiting.append(record)

    async def run(self) -> None:
        """Write what is waiting every ``flush_seconds``, for as long as the server lives."""
        reported = 0
        while True:
            await self._clock.sleep(self._settings.flush_seconds)
            try:
                await self.flush()
            except Unavailable as error:
                log.warning("usage.waiting", records=self.waiting, why=str(error))
            except Exception:
                # Whatever it was, the next round tries again: a record is never given up.
                log.exception("usage.not_written", records=self.waiting)
            if self.dropped > reported:
                log.error("usage.dropped", records=self.dropped - reported, since="the database went away")
                reported = self.dropped

    async def flush(self) -> None:
        """Write everything that is waiting; raises `Unavailable` with all of it still kept."""
        self._log_new()
        while self._waiting:
            batch = [self._waiting[index] for index in range(min(_BATCH, len(self._waiting)))]
            async with self._store.begin() as tx:
                await tx.usage.add(batch)
            self._forget(batch)

    def _forget(self, written: list[UsageRecord]) -> None:
        # Some of them may have been dropped from the left while they were being written.
        ids = {record.id for record in written}
        while self._waiting and self._waiting[0].id in ids:
            self._waiting.popleft()
            self._logged = max(0, self._logged - 1)
        self._log_new()

    def _log_new(self) -> None:
        if self._log_calls:
            for index in range(self._logged, len(self._waiting)):
                _log_line(self._waiting[index])
        self._logged = len(self._waiting)


def _log_line(record: UsageRecord) -> None:
    calls.info(
        "call",
        request_id=record.request_id,
        verb=record.verb.value,
        outcome=record.outcome.value,
        error_code=record.error_code,
        model=record.model_name,
        deployment=record.deployment_id,
        account=record.account_id,
        key=record.key_id,
        prompt_tokens=record.prompt_tokens,
        response_tokens=record.response_tokens,
        first_byte_ms=None if record.first_byte_seconds is None else round(record.first_byte_seconds * 1000, 2),
        total_ms=round(record.total_seconds * 1000, 2),
    )
