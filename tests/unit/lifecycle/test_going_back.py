"""New revisions that fail, and those that there is no room for beside the old."""

from dataclasses import replace

from modelyard.domain.deployments import Deployment, DeploymentStatus, Observation, Observed, Phase
from modelyard.domain.lifecycle import is_hopeless, status_of
from modelyard.domain.plans import Plan, Policy
from modelyard.domain.rollout import NO_ROOM, plan
from modelyard.testing.deployments import NOW, after, deployment, ids, seen, target, worker

BOTH = ("good", "new")
POLICY = Policy(rollback_after_failures=3)
OLD = worker("old", revision="good")
FAILED = Observed(generation=2, ready_revision="good", failures=2, failed_at=after(-100), reason="bad flag")


def planned(
    given: Deployment, *observations: Observation, room: int | None = None, known: tuple[str, ...] = ()
) -> Plan:
    known = known or ("good", "new")
    return plan(given, observations, NOW, POLICY, new_id=ids(), room=room, known=known)


def failing(observed: Observed = FAILED) -> Deployment:
    """An update from ``good`` to ``new`` whose worker just failed once more."""
    return deployment([OLD, worker("new", Phase.LOADING)], of=target(generation=2), observed=observed)


def given_up() -> Deployment:
    result = planned(failing(), seen("old"), seen("new", Phase.EXITED, "bad flag"))
    return replace(failing(), observed=result.observed, workers=result.workers)


def test_a_revision_that_never_gets_ready_is_given_up_for_the_last_good_one() -> None:
    result = planned(failing(), seen("old"), seen("new", Phase.EXITED, "bad flag"))
    assert result.observed.failed_revision == "new"
    assert "bad flag" in (result.observed.note or "")
    assert "rolled_back" in [event.kind for event in result.events]
    assert [(row.id, row.phase) for row in result.workers] == [("old", Phase.READY), ("new", Phase.EXITED)]
    assert not result.start


def test_its_status_says_so_while_the_good_one_serves() -> None:
    status, detail = status_of(given_up(), NOW)
    assert status is DeploymentStatus.UPDATE_FAILED
    assert (detail.phase, detail.workers_ready, detail.revision) == ("ready", 1, "new")
    assert "bad flag" in (detail.reason or "")
    assert not is_hopeless(given_up())


def test_fewer_failures_are_not_enough() -> None:
    result = planned(failing(replace(FAILED, failures=1)), seen("old"), seen("new", Phase.EXITED, "bad flag"))
    assert result.observed.failed_revision is None


def test_without_a_good_one_nothing_is_given_up() -> None:
    never = replace(FAILED, ready_revision=None)
    result = planned(failing(never), seen("old"), seen("new", Phase.EXITED, "bad flag"))
    assert result.observed.failed_revision is None
    forgotten = planned(failing(), seen("old"), seen("new", Phase.EXITED, "bad flag"), known=("new",))
    assert forgotten.observed.failed_revision is None


def test_the_good_ones_workers_are_replaced_as_ever() -> None:
    """Also where the machine rebooted: nothing of it runs."""
    result = planned(replace(given_up(), workers=()))
    assert [row.revision for row in result.workers] == ["good"]
    assert result.start == ("w1",)


def test_scaling_leaves_it_given_up_and_another_revision_is_tried() -> None:
    base = given_up()
    scaled = planned(replace(base, target=replace(base.target, generation=3, min_workers=2)), seen("old"))
    assert scaled.observed.failed_revision == "new"
    assert [row.revision for row in scaled.workers if row.id in scaled.start] == ["good"]
    mended = planned(replace(base, target=replace(base.target, generation=3, revision="newer")), seen("old"))
    assert (mended.observed.failed_revision, mended.observed.note) == (None, None)
    assert [row.revision for row in mended.workers if row.id in mended.start] == ["newer"]


def rolling(*workers: str) -> Deployment:
    rows = [worker(name, revision="good") for name in workers]
    of = target(generation=2, workers=len(workers))
    return deployment(rows, of=of, observed=Observed(generation=2, ready_revision="good"))


def test_where_there_is_room_the_new_one_starts_beside_the_old() -> None:
    result = planned(rolling("a"), seen("a"), room=1)
    assert result.start == ("w1",)
    assert result.observed.note is None
    assert all(row.phase is not Phase.DRAINING for row in result.workers)


def test_without_room_that_is_said_before_an_old_one_goes() -> None:
    first = planned(rolling("a", "b"), seen("a"), seen("b"), room=0)
    assert (first.observed.note, first.start) == (NO_ROOM, ())
    assert all(row.phase is Phase.READY for row in first.workers)
    told = replace(rolling("a", "b"), observed=first.observed)
    assert status_of(told, NOW)[1].reason == NO_ROOM
    second = planned(told, seen("a"), seen("b"), room=0)
    assert [row.phase for row in second.workers] == [Phase.DRAINING, Phase.READY]
    third = planned(replace(told, workers=second.workers), seen("a"), seen("b"), room=0)
    assert [row.phase for row in third.workers] == [Phase.DRAINING, Phase.READY], "one at a time"
    gone = replace(told, workers=second.workers[1:])
    assert planned(gone, seen("b"), room=1).start == ("w1",)


def test_the_word_goes_with_the_last_old_one() -> None:
    noted = Observed(generation=2, ready_revision="good", note=NO_ROOM)
    result = planned(deployment([worker("x")], of=target(generation=2), observed=noted), seen("x"), room=0)
    assert result.observed.note is None
