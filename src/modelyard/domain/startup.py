"""How long a worker takes until it is ready, judged by how long the last ones took."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import median

from modelyard.domain.deployments import COMING, Worker

KEPT = 8
"""So many start-up times of a deployment are remembered."""


def expected(start_seconds: Sequence[float]) -> float | None:
    """Seconds from written down to ready; None where none ever was ready."""
    return median(start_seconds) if start_seconds else None


def coming_since(workers: Iterable[Worker]) -> datetime | None:
    """When the worker began to start that has been starting for longest; None where none starts."""
    return min((worker.created_at for worker in workers if worker.phase in COMING), default=None)


def eta(start_seconds: Sequence[float], since: datetime | None, now: datetime) -> float | None:
    """Seconds until the first worker is likely to be ready, at least 0; None where nobody can tell. ``since`` as
    `coming_since` gives it; None: one would have to start now."""
    usual = expected(start_seconds)
    if usual is None:
        return None
    waited = 0.0 if since is None else (now - since).total_seconds()
    return max(0.0, round(usual - waited, 1))


def with_one_more(start_seconds: Sequence[float], seconds: float) -> tuple[float, ...]:
    return (*start_seconds, round(seconds, 2))[-KEPT:]
