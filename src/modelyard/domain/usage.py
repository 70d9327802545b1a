"""What a call used: one record per call, and how records add up over time."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from modelyard.domain.traces import Trace
from modelyard.errors import InvalidRequest

MAX_CHUNKS = 10_000


class Verb(StrEnum):
    CHAT_COMPLETION = "chat_completion"
    COMPLETION = "completion"
    EMBEDDING = "embedding"
    RERANKING = "reranking"
    EXECUTE = "execute"


class Outcome(StrEnum):
    OK = "ok"
    ERROR = "error"
    CANCELLED = "cancelled"  # the client went away before the end


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a call may use of one bound of a limit (`modelyard.domain.limits`)."""

    limit_id: str
    kind: str
    window: datetime
    amount: int


class UsageRecord(Struct, frozen=True, gc=False, omit_defaults=True):
    """One call. Times are UTC; latencies are seconds on the gateway's monotonic clock.

    A struct, since one is made on every call's path: a frozen dataclass of so many fields takes ten times as long to
    make, and twice as long to write to the journal.
    """

    id: str
    started_at: datetime
    request_id: str
    account_id: str
    """The account that pays: the caller's."""
    key_id: str
    identity_id: str
    deployment_id: str
    model_id: str
    model_name: str
    verb: Verb
    outcome: Outcome
    error_code: str | None
    prompt_tokens: int
    response_tokens: int
    estimated: bool
    """True where the worker did not report counts and they were counted by the gateway."""
    first_byte_seconds: float | None
    total_seconds: float
    cached_tokens: int = 0
    """Of the prompt's: read from a cache."""
    reasoning_tokens: int = 0
    """Of the response's: spent on reasoning."""
    vendor: str | None = None
    """Who answered where it was a vendor; those calls are paid by the token, others by their workers' time."""
    vendor_model: str | None = None
    """The vendor's own name for its model."""
    cost_nano: int | None = None
    """Billionths of a dollar that the vendor takes; None where workers of our own answered, or nobody knows a price."""
    served_by: str | None = None
    """The deployment that answered, where it was not the one that was called but a fallback."""
    reserved: tuple[Reservation, ...] = ()
    """What it reserved of limits, to be given back for what it used."""
    gateway_id: str = ""
    """Who reserved it."""
    trace: Trace | None = None
    """Its place in a trace, where there are traces."""

    @property
    def is_unpriced(self) -> bool:
        """Whether it cost something and nobody knows what."""
        return self.vendor is not None and self.cost_nano is None and (self.prompt_tokens + self.response_tokens) > 0


@dataclass(frozen=True, slots=True)
class Slice:
    """The sum over ``[start, next slice's start)``."""

    start: datetime
    prompt_tokens: int = 0
    response_tokens: int = 0


def slice_starts(start: datetime, end: datetime, chunks: int) -> list[datetime]:
    """The starts of ``chunks`` equal slices of ``[start, end)``, the first being ``start``, computed so that
    rounding never accumulates. Both ends must be timezone-aware."""
    if chunks < 1 or chunks > MAX_CHUNKS:
        raise InvalidRequest.at("query", "chunks", msg=f"must be between 1 and {MAX_CHUNKS}")
    if end <= start:
        raise InvalidRequest.at("query", "end_date", msg="must be after start_date")
    microseconds = (end - start) // timedelta(microseconds=1)
    return [start + timedelta(microseconds=microseconds * index // chunks) for index in range(chunks)]


def fold(starts: list[datetime], sums: Iterable[tuple[int, int, int]]) -> list[Slice]:
    """Slices with the sums ``(slice index, prompt tokens, response tokens)`` filled in, zeros elsewhere."""
    by_index = {index: (prompt, response) for index, prompt, response in sums}
    return [Slice(start, *by_index.get(index, (0, 0))) for index, start in enumerate(starts)]
