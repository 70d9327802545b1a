"""What a plan for a deployment is: what to write down, to do, and when to look again; and how failures count."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelyard.domain.deployments import Event, Observed, Worker
from modelyard.domain.lifecycle import FORGIVEN_CRASHES, is_failing


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that decide what `plan` does; seconds."""

    backoff_seconds: float = 10
    backoff_max_seconds: float = 300
    drain_seconds: float = 60
    settle_seconds: float = 1.5
    """A draining worker is not stopped sooner: every gateway has left it out by then."""
    idle_seconds: float = 600
    """For so long a call's demand for a built-in deployment that has no worker is remembered."""
    grace_seconds: float = 10
    """How long a worker that is stopped may take to end by itself."""
    steady_seconds: float = 30
    """How often a deployment at rest is planned anew, without any hint."""
    moving_seconds: float = 1
    """The same while workers are on their way or drain."""
    rollback_after_failures: int = 3
    """So many workers in a row that never got ready, and a new revision is given up for the last good one."""


@dataclass(frozen=True, slots=True)
class Stop:
    """One call of the launcher's ``stop``."""

    worker_id: str
    grace: float
    forget: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write down, then to do, then to see again.

    Writing comes first: whoever crashes in between leaves rows whose workers `plan` starts the next time,
    or workers without a row, which it stops.
    """

    workers: tuple[Worker, ...]
    observed: Observed
    due_at: datetime
    start: tuple[str, ...] = ()
    """Ids among ``workers`` that are not running yet."""
    stop: tuple[Stop, ...] = ()
    events: tuple[Event, ...] = ()
    remove: bool = False
    """The deployment was deleted and nothing of it is left."""


def next_try(observed: Observed, policy: Policy) -> datetime | None:
    """When the next worker may be started after failures; None: at once. The pause is
    ``backoff_seconds * 2^n``, at most ``backoff_max_seconds``; n counts failures in a row from 0."""
    if observed.failed_at is None or not is_failing(observed):
        return None
    n = observed.failures - 1 if observed.failures else observed.crashes - FORGIVEN_CRASHES - 1
    pause = min(policy.backoff_max_seconds, policy.backoff_seconds * 2.0 ** min(n, 60))
    return observed.failed_at + timedelta(seconds=pause)


def counted(observed: Observed, failed: Worker, now: datetime, policy: Policy) -> Observed:
    """``observed`` with one more failure, or crash of a worker that had been ready."""
    if failed.ready_at is None:
        return replace(observed, failures=observed.failures + 1, failed_at=now)
    lasted = (now - failed.ready_at).total_seconds()
    crashes = 1 if lasted >= policy.backoff_seconds else observed.crashes + 1
    return replace(observed, crashes=crashes, failed_at=now)


def with_launch_failure(plan: Plan, worker_id: str, reason: str, now: datetime, policy: Policy) -> Plan:
    """``plan`` after the launcher refused to start one of its workers."""
    row = next(row for row in plan.workers if row.id == worker_id)
    observed = replace(counted(plan.observed, replace(row, ready_at=None), now, policy), reason=reason)
    return replace(
        plan,
        workers=tuple(row for row in plan.workers if row.id != worker_id),
        observed=observed,
        due_at=min(next_try(observed, policy) or now, now + timedelta(seconds=policy.steady_seconds)),
        events=(*plan.events, Event(row.deployment_id, now, "failed", f"Worker {worker_id}: {reason}")),
    )
