"""What a deployment's status is: a pure function of what is wanted and what was seen.

First match wins (`status_of`)::

    target deleted                                              DELETE_IN_PROGRESS
    a vendor answers                                            READY
    its revision was given up: the last good one serves         UPDATE_FAILED, with the reason
    a worker of the target's revision is ready                  READY
    workers of it fail, and none is ready                       UPDATE_FAILED, with the reason
    a worker of it was ready once; or built in: starts if used  READY
    the target was never looked at                              UPDATE_PENDING
    otherwise                                                   UPDATE_IN_PROGRESS
"""

from datetime import datetime

from modelyard.domain.deployments import COMING, Deployment, DeploymentStatus, Observed, Phase, StatusDetail
from modelyard.domain.startup import coming_since, eta

FORGIVEN_CRASHES = 2
"""So many workers that crash soon after they were ready are replaced at once; then pauses begin."""


def status_of(deployment: Deployment, now: datetime) -> tuple[DeploymentStatus, StatusDetail]:
    """The status by the table above, and why and how far."""
    target, observed = deployment.target, deployment.observed
    current = [worker for worker in deployment.workers if worker.revision == deployment.revision]
    ready = sum(worker.phase is Phase.READY for worker in current)
    seen = observed.generation >= target.generation
    failing = seen and is_failing(observed)
    status = _status(deployment, ready=ready > 0, seen=seen, failing=failing)
    coming = [worker for worker in current if worker.phase in COMING]
    # The furthest of those on their way says how far the deployment is.
    furthest = max(coming, key=lambda worker: COMING.index(worker.phase), default=None)
    return status, StatusDetail(
        phase=_phase(
            status, furthest.phase if furthest else None, ready=ready > 0 or deployment.is_vendors, failing=failing
        ),
        reason=observed.reason if failing else observed.note or (furthest.detail if furthest and not ready else None),
        workers_ready=ready,
        workers_wanted=_wanted_as_seen(deployment, active=bool(ready or coming or failing)),
        revision=target.revision,
        eta_seconds=None if ready or not coming else eta(observed.start_seconds, coming_since(coming), now),
    )


def _status(deployment: Deployment, *, ready: bool, seen: bool, failing: bool) -> DeploymentStatus:
    target, observed = deployment.target, deployment.observed
    if target.deleted:
        return DeploymentStatus.DELETE_IN_PROGRESS
    if deployment.is_vendors:
        return DeploymentStatus.READY
    if is_given_up(deployment):
        return DeploymentStatus.UPDATE_FAILED
    if ready:
        return DeploymentStatus.READY
    if failing:
        return DeploymentStatus.UPDATE_FAILED
    if deployment.is_built_in or observed.ready_revision == target.revision:
        return DeploymentStatus.READY
    return DeploymentStatus.UPDATE_IN_PROGRESS if seen else DeploymentStatus.UPDATE_PENDING


def _phase(status: DeploymentStatus, furthest: Phase | None, *, ready: bool, failing: bool) -> str:
    """One word for people: pending, starting, pulling, loading, ready, idle, failed or deleting."""
    if status is DeploymentStatus.DELETE_IN_PROGRESS:
        return "deleting"
    if ready:
        return "ready"
    if failing:
        return "failed"
    if furthest is not None:
        return furthest.value
    if status is DeploymentStatus.UPDATE_PENDING:
        return "pending"
    return "starting" if status is DeploymentStatus.UPDATE_IN_PROGRESS else "idle"


def _wanted_as_seen(deployment: Deployment, *, active: bool) -> int:
    if deployment.target.deleted or deployment.is_vendors:
        return 0
    wanted = deployment.observed.wanted
    if wanted is None:
        wanted = int(active) if deployment.is_built_in else 1
    return max(wanted, deployment.target.min_workers)


def is_failing(observed: Observed) -> bool:
    """Whether failures in a row are so many that pauses are made between new tries."""
    return observed.failures > 0 or observed.crashes > FORGIVEN_CRASHES


def is_given_up(deployment: Deployment) -> bool:
    """Whether the target's revision was given up, and the last good one serves instead."""
    return deployment.revision != deployment.target.revision


def is_hopeless(deployment: Deployment) -> bool:
    """Whether calls had better be refused than wait: its workers fail, and there is nothing to go back to."""
    observed = deployment.observed
    current = observed.generation >= deployment.target.generation
    return current and is_failing(observed) and observed.ready_revision in (None, deployment.revision)
