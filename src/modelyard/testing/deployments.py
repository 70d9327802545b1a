"""Deployments, workers and observations with all the boring fields filled in."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, IdentityType
from modelyard.domain.deployments import Deployment, Observation, Observed, Phase, Target, Worker

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACCOUNT = "11111111-1111-4111-8111-111111111111"


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def target(revision: str = "new", workers: int = 1, generation: int = 1, deleted: bool = False) -> Target:
    return Target(
        min_workers=workers,
        max_workers=max(1, workers),
        per_worker=1,
        revision=revision,
        generation=generation,
        deleted=deleted,
    )


def deployment(
    workers: Iterable[Worker] = (),
    *,
    of: Target | None = None,
    observed: Observed | None = None,
    built_in: bool = False,
) -> Deployment:
    of = of or target()
    return Deployment(
        id="d",
        account_id=PLATFORM_ACCOUNT_ID if built_in else ACCOUNT,
        created_at=NOW,
        created_by_user_id="u",
        created_by_identity_type=IdentityType.USER,
        name="mine",
        model_id="m",
        target=of,
        observed=Observed(generation=of.generation) if observed is None else observed,
        workers=tuple(workers),
    )


def worker(id: str, phase: Phase = Phase.READY, revision: str = "new", age: float = 100, **more: object) -> Worker:
    born = after(-age)
    made = Worker(id=id, deployment_id="d", revision=revision, created_at=born, phase=phase, address="http://x")
    if phase in (Phase.READY, Phase.DRAINING):
        made = replace(made, ready_at=born)
    return replace(made, **more)  # type: ignore[arg-type]


def seen(id: str, phase: Phase = Phase.READY, detail: str | None = None, revision: str = "new") -> Observation:
    return Observation(
        worker_id=id, deployment_id="d", revision=revision, phase=phase, address="http://x", detail=detail
    )


def ids() -> Callable[[], str]:
    counter = itertools.count(1)
    return lambda: f"w{next(counter)}"
