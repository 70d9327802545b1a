"""Usage by the minute, hour and day: what is added up when records are written, so that a year can be told at once."""

import hashlib
import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from operator import add

from modelyard.domain.intervals import DAY, EPOCH, HOUR, MINUTE
from modelyard.domain.usage import UsageRecord

BUCKETS: tuple[float, ...] = tuple(0.001 * 2**power for power in range(19))
"""Upper bounds, in seconds, of the classes in which whole calls are counted: 1 ms to 262 s; one more for the rest."""

DIMENSIONS = (
    "account_id",
    "key_id",
    "identity_id",
    "deployment_id",
    "model_id",
    "model_name",
    "vendor",
    "verb",
    "outcome",
)
"""By which usage can be told apart, besides time. The vendor is empty where workers of our own answered."""

SUMS = (
    "calls",
    "prompt_tokens",
    "response_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost_nano",
    "unpriced",
    "estimated",
    "milliseconds",
)
_ACCOUNT, _DEPLOYMENT, _MODEL_NAME = map(DIMENSIONS.index, ("account_id", "deployment_id", "model_name"))
_MINUTE = timedelta(minutes=1)
CLASSES = tuple(f"class_{index}" for index in range(len(BUCKETS) + 1))


@dataclass(frozen=True, slots=True)
class Sum:
    """All calls of one hour or day that are alike in every dimension."""

    at: int
    """When it begins, in microseconds since 1970."""
    dimensions: tuple[str, ...]
    """In the order of `DIMENSIONS`."""
    added: Sequence[int]
    """In the order of `SUMS`, then `CLASSES`."""

    @property
    def digest(self) -> str:
        return digest(self.dimensions)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one minute, of what the client's statistics tell apart."""

    at: int
    """When it begins, in microseconds since 1970."""
    deployment_id: str
    model_name: str
    account_id: str
    prompt: int
    response: int


@dataclass(frozen=True, slots=True)
class Rollups:
    """The same calls three times, each in an order that is the same for everybody who writes the same rows."""

    minutes: Sequence[Tokens]
    hours: Sequence[Sum]
    days: Sequence[Sum]


def digest(dimensions: Sequence[str]) -> str:
    """A short key for so many dimensions."""
    text = "\x1f".join(dimensions)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def rolled_up(records: Iterable[UsageRecord]) -> Rollups:
    """The records added up by the minute, the hour and the day, in UTC."""
    minutes = _by_minute(records)
    hours = _coarser(minutes, HOUR)
    return Rollups(_tokens(minutes), _sorted(hours), _sorted(_coarser(hours, DAY)))


_Added = dict[tuple[int, tuple[str, ...]], list[int]]
_NO_CALLS = [0] * (len(SUMS) + len(CLASSES))


def _by_minute(records: Iterable[UsageRecord]) -> _Added:
    # Once for every call of a busy server: that is why it is spelled out.
    found: _Added = {}
    for record in records:
        key = (
            (record.started_at - EPOCH) // _MINUTE * MINUTE,
            (
                record.account_id,
                record.key_id,
                record.identity_id,
                record.deployment_id,
                record.model_id,
                record.model_name,
                record.vendor or "",
                record.verb,
                record.outcome,
            ),
        )
        sums = found.get(key)
        if sums is None:
            sums = found[key] = _NO_CALLS.copy()
        sums[0] += 1
        sums[1] += record.prompt_tokens
        sums[2] += record.response_tokens
        sums[3] += record.cached_tokens
        sums[4] += record.reasoning_tokens
        sums[5] += record.cost_nano or 0
        sums[6] += record.is_unpriced
        sums[7] += record.estimated
        sums[8] += round(record.total_seconds * 1000)
        sums[len(SUMS) + bisect_left(BUCKETS, record.total_seconds)] += 1
    return found


def _coarser(sums: _Added, unit: int) -> _Added:
    found: _Added = {}
    for (at, dimensions), added in sums.items():
        key = (at // unit * unit, dimensions)
        before = found.get(key)
        found[key] = added if before is None else list(map(add, before, added))
    return found


def _sorted(sums: _Added) -> list[Sum]:
    found = [Sum(at, tuple(map(str, dimensions)), added) for (at, dimensions), added in sums.items()]
    return sorted(found, key=lambda each: (each.at, each.digest))


def _tokens(minutes: _Added) -> list[Tokens]:
    found: dict[tuple[int, str, str, str], tuple[int, int]] = {}
    for (at, dimensions), added in minutes.items():
        key = (at, dimensions[_DEPLOYMENT], dimensions[_MODEL_NAME], dimensions[_ACCOUNT])
        before = found.get(key, (0, 0))
        found[key] = (before[0] + added[1], before[1] + added[2])
    return [Tokens(*key, *found[key]) for key in sorted(found)]


def percentile(classes: Sequence[int], share: float) -> float | None:
    """Seconds within which ``share`` of the calls were whole, by even spread within a class; None without calls. Off by
    less than the width of a class, which doubles from one to the next."""
    total: int = sum(classes)
    if not total:
        return None
    rank, before = share * total, 0
    for index, count in enumerate(classes):
        if count and before + count >= rank:
            low = BUCKETS[index - 1] if index else 0.0
            high = BUCKETS[index] if index < len(BUCKETS) else math.inf
            return low if math.isinf(high) else low + (high - low) * (rank - before) / count
        before += count
    return BUCKETS[-1]
