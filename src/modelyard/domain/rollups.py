"""Usage by the hour: what is added up when records are written, so that a year can be told at once."""

import hashlib
import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

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
CLASSES = tuple(f"class_{index}" for index in range(len(BUCKETS) + 1))


@dataclass(slots=True)
class Hour:
    """All calls of one hour that are alike in every dimension."""

    hour: datetime
    dimensions: tuple[str, ...]
    """In the order of `DIMENSIONS`."""
    sums: list[int] = field(default_factory=lambda: [0] * len(SUMS))
    """In the order of `SUMS`."""
    classes: list[int] = field(default_factory=lambda: [0] * len(CLASSES))
    """Calls by how long they took, in the order of `BUCKETS`."""

    @property
    def digest(self) -> str:
        """Of the dimensions: a short key for so many of them."""
        text = "\x1f".join(self.dimensions)
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()

    def add(self, record: UsageRecord) -> None:
        more = (
            1,
            record.prompt_tokens,
            record.response_tokens,
            record.cached_tokens,
            record.reasoning_tokens,
            record.cost_nano or 0,
            record.is_unpriced,
            record.estimated,
            round(record.total_seconds * 1000),
        )
        for index, value in enumerate(more):
            self.sums[index] += value
        self.classes[bisect_left(BUCKETS, record.total_seconds)] += 1


def hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def by_hour(records: Iterable[UsageRecord]) -> list[Hour]:
    """The records added up, in an order that is the same for everybody who writes the same rows."""
    hours: dict[tuple[datetime, tuple[str, ...]], Hour] = {}
    for record in records:
        dimensions = (
            record.account_id,
            record.key_id,
            record.identity_id,
            record.deployment_id,
            record.model_id,
            record.model_name,
            record.vendor or "",
            record.verb.value,
            record.outcome.value,
        )
        key = (hour_of(record.started_at), dimensions)
        if key not in hours:
            hours[key] = Hour(*key)
        hours[key].add(record)
    return sorted(hours.values(), key=lambda each: (each.hour, each.digest))


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
