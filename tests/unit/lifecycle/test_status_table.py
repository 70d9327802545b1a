"""The status table, row by row."""

from dataclasses import replace

import pytest

from modelyard.domain.deployments import Deployment, DeploymentStatus, Observed, Phase
from modelyard.domain.lifecycle import FORGIVEN_CRASHES, status_of
from modelyard.testing.deployments import NOW, deployment, target, worker

S = DeploymentStatus
FRESH = Observed()
SEEN = Observed(generation=1)
WAS_READY = Observed(generation=1, ready_revision="new")
FAILED = Observed(generation=1, failures=1, failed_at=NOW, reason="no such file: /model.gguf")

TABLE: dict[str, tuple[Deployment, DeploymentStatus, str]] = {
    "never looked at": (deployment(observed=FRESH), S.UPDATE_PENDING, "pending"),
    "looked at, nothing there yet": (deployment(observed=SEEN), S.UPDATE_IN_PROGRESS, "starting"),
    "starting": (deployment([worker("a", Phase.STARTING)], observed=SEEN), S.UPDATE_IN_PROGRESS, "starting"),
    "pulling": (deployment([worker("a", Phase.PULLING)], observed=SEEN), S.UPDATE_IN_PROGRESS, "pulling"),
    "loading": (
        deployment([worker("a", Phase.STARTING), worker("b", Phase.LOADING)], observed=SEEN),
        S.UPDATE_IN_PROGRESS,
        "loading",
    ),
    "ready": (deployment([worker("a")], observed=WAS_READY), S.READY, "ready"),
    "was ready, its worker is being replaced": (
        deployment([worker("a", Phase.LOADING)], observed=WAS_READY),
        S.READY,
        "loading",
    ),
    "was ready, has no worker now": (deployment(observed=WAS_READY), S.READY, "idle"),
    "failed": (deployment(observed=FAILED), S.UPDATE_FAILED, "failed"),
    "failed, trying again": (deployment([worker("a", Phase.LOADING)], observed=FAILED), S.UPDATE_FAILED, "failed"),
    "failed before, ready now": (deployment([worker("a")], observed=FAILED), S.READY, "ready"),
    "a few crashes are forgiven": (
        deployment(observed=replace(WAS_READY, crashes=FORGIVEN_CRASHES, failed_at=NOW, reason="x")),
        S.READY,
        "idle",
    ),
    "a crash loop": (
        deployment(observed=replace(WAS_READY, crashes=FORGIVEN_CRASHES + 1, failed_at=NOW, reason="x")),
        S.UPDATE_FAILED,
        "failed",
    ),
    "a new revision, not looked at": (
        deployment(
            [worker("a", revision="old")], of=target(generation=2), observed=replace(WAS_READY, ready_revision="old")
        ),
        S.UPDATE_PENDING,
        "pending",
    ),
    "a new revision after failures of the old": (
        deployment(of=target(generation=2), observed=FAILED),
        S.UPDATE_PENDING,
        "pending",
    ),
    "a new revision, its worker loads while the old serves": (
        deployment(
            [worker("a", revision="old"), worker("b", Phase.LOADING)],
            observed=replace(SEEN, ready_revision="old"),
        ),
        S.UPDATE_IN_PROGRESS,
        "loading",
    ),
    "a new revision fails while the old serves": (
        deployment([worker("a", revision="old")], observed=replace(FAILED, ready_revision="old")),
        S.UPDATE_FAILED,
        "failed",
    ),
    "scaling numbers alone change nothing": (
        deployment([worker("a")], of=target(workers=3, generation=2), observed=WAS_READY),
        S.READY,
        "ready",
    ),
    "built in, never used": (deployment(observed=FRESH, built_in=True), S.READY, "idle"),
    "built in, first worker loads": (
        deployment([worker("a", Phase.LOADING)], observed=SEEN, built_in=True),
        S.READY,
        "loading",
    ),
    "built in, failed": (deployment(observed=FAILED, built_in=True), S.UPDATE_FAILED, "failed"),
    "deleted": (deployment([worker("a")], of=target(deleted=True)), S.DELETE_IN_PROGRESS, "deleting"),
}


@pytest.mark.parametrize("name", TABLE)
def test_status(name: str) -> None:
    given, status, phase = TABLE[name]
    found, detail = status_of(given, NOW)
    assert (found, detail.phase) == (status, phase)


def test_a_failure_keeps_its_words_until_a_worker_is_ready() -> None:
    _, failed = status_of(deployment([worker("a", Phase.LOADING, detail="reading weights")], observed=FAILED), NOW)
    assert failed.reason == FAILED.reason
    _, ready = status_of(deployment([worker("a")], observed=replace(WAS_READY)), NOW)
    assert ready.reason is None


def test_progress_is_told_in_the_furthest_workers_words() -> None:
    workers = [worker("a", Phase.STARTING), worker("b", Phase.PULLING, detail="weights: 12 of 98 MB")]
    _, detail = status_of(deployment(workers, of=target(workers=2), observed=SEEN), NOW)
    assert (detail.reason, detail.workers_ready, detail.workers_wanted) == ("weights: 12 of 98 MB", 0, 2)


@pytest.mark.parametrize(("minimum", "wanted"), [(0, 1), (1, 1), (3, 3)])
def test_a_users_deployment_wants_at_least_one(minimum: int, wanted: int) -> None:
    assert status_of(deployment(of=target(workers=minimum)), NOW)[1].workers_wanted == wanted


def test_workers_of_other_revisions_do_not_count_as_ready() -> None:
    given = deployment([worker("a", revision="old"), worker("b"), worker("c", Phase.DRAINING)])
    assert status_of(given, NOW)[1].workers_ready == 1
