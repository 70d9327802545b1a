"""`plan`, case by case: what is wanted, written down and seen, and what follows."""

from dataclasses import replace

import pytest

from modelyard.domain.deployments import Deployment, Observation, Observed, Phase
from modelyard.domain.plans import Plan, Policy, next_try, with_launch_failure
from modelyard.domain.rollout import plan
from modelyard.testing.deployments import NOW, after, deployment, ids, seen, target, worker

POLICY = Policy()


def planned(
    given: Deployment, *observations: Observation, at: float = 0, policy: Policy = POLICY, busy: int = 0
) -> Plan:
    return plan(given, observations, after(at), policy, new_id=ids(), in_flight=lambda _: busy)


def stops(of: Plan, *, forget: bool = True) -> set[str]:
    return {stop.worker_id for stop in of.stop if stop.forget is forget}


def phases(of: Plan) -> dict[str, Phase]:
    return {row.id: row.phase for row in of.workers}


def test_a_new_deployment_starts_one_worker_even_with_min_workers_zero() -> None:
    result = planned(deployment(of=target(workers=0), observed=Observed()))
    assert (phases(result), result.start) == ({"w1": Phase.STARTING}, ("w1",))
    assert result.observed.generation == 1


def test_min_workers_are_started_together() -> None:
    assert planned(deployment(of=target(workers=3))).start == ("w1", "w2", "w3")


def test_a_worker_written_down_but_not_there_is_started_under_the_same_id() -> None:
    result = planned(deployment([worker("a", Phase.STARTING, age=0)]))
    assert (result.start, phases(result)) == (("a",), {"a": Phase.STARTING})


def test_a_worker_on_its_way_is_followed() -> None:
    result = planned(deployment([worker("a", Phase.STARTING, age=0.1)]), seen("a", Phase.LOADING, "reading weights"))
    assert phases(result) == {"a": Phase.LOADING}
    assert result.workers[0].detail == "reading weights"
    assert result.due_at == after(POLICY.moving_seconds)
    assert not result.start


def test_the_first_answer_makes_it_ready() -> None:
    given = deployment(
        [worker("a", Phase.LOADING, age=2)],
        observed=Observed(generation=1, failures=2, failed_at=after(-9), reason="x"),
    )
    result = planned(given, seen("a"))
    assert result.workers[0].ready_at == NOW
    assert (result.observed.ready_revision, result.observed.failures, result.observed.reason) == ("new", 0, None)
    assert [event.kind for event in result.events] == ["ready"]


def test_at_rest_nothing_is_done() -> None:
    given = deployment([worker("a")], observed=Observed(generation=1, ready_revision="new"))
    result = planned(given, seen("a"))
    assert (result.workers, result.observed) == (given.workers, given.observed)
    assert (result.start, result.stop, result.events, result.remove) == ((), (), (), False)
    assert result.due_at == after(POLICY.steady_seconds)


def test_a_ready_worker_stays_ready_while_single_probes_fail() -> None:
    assert phases(planned(deployment([worker("a")]), seen("a", Phase.LOADING))) == {"a": Phase.READY}


def test_workers_nobody_wrote_down_are_stopped() -> None:
    result = planned(deployment([worker("a")]), seen("a"), seen("stranger", Phase.LOADING))
    assert stops(result) == {"stranger"}
    assert phases(result) == {"a": Phase.READY}


def test_a_ready_worker_that_is_gone_without_a_trace_is_replaced_at_once() -> None:
    result = planned(deployment([worker("a")]))
    assert result.start == ("w1",)
    assert result.observed.failures == 0


def test_a_worker_no_longer_wanted_before_it_was_started_never_is() -> None:
    rows = [worker("a", Phase.STARTING, age=2), worker("b", Phase.STARTING, age=1)]
    result = planned(deployment(rows, of=target(workers=1)))
    assert (result.start, stops(result)) == (("a",), {"b"})


# Failures


def test_a_worker_that_never_was_ready_is_a_failure_with_its_own_words() -> None:
    result = planned(deployment([worker("a", Phase.LOADING, age=1)]), seen("a", Phase.EXITED, "weights are truncated"))
    assert not result.start
    assert (result.observed.failures, result.observed.reason) == (1, "weights are truncated")
    assert result.due_at == after(POLICY.backoff_seconds)
    assert phases(result) == {"a": Phase.EXITED}
    assert (stops(result), stops(result, forget=False)) == (set(), {"a"})


@pytest.mark.parametrize(
    ("failures", "pause"), [(1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 300), (7, 300), (5000, 300)]
)
def test_pauses_double_up_to_the_longest(failures: int, pause: float) -> None:
    observed = Observed(generation=1, failures=failures, failed_at=NOW)
    assert next_try(observed, POLICY) == after(pause)
    assert not planned(deployment(observed=observed), at=pause - 0.001).start
    assert planned(deployment(observed=observed), at=pause).start == ("w1",)


def test_while_it_fails_one_worker_at_a_time_is_tried() -> None:
    observed = Observed(generation=1, failures=1, failed_at=after(-10))
    assert planned(deployment(of=target(workers=4), observed=observed)).start == ("w1",)


def test_workers_that_fail_together_are_one_failure() -> None:
    given = deployment([worker("a", Phase.LOADING), worker("b", Phase.LOADING)], of=target(workers=2))
    result = planned(given, seen("a", Phase.EXITED, "x"), seen("b", Phase.EXITED, "x"))
    assert result.observed.failures == 1


def test_a_crash_after_a_good_while_is_replaced_at_once() -> None:
    result = planned(deployment([worker("a", age=60)]), seen("a", Phase.EXITED, "killed"))
    assert result.start == ("w1",)
    assert (result.observed.failures, result.observed.crashes) == (0, 1)


def test_a_crash_loop_of_workers_that_get_ready_backs_off_too() -> None:
    started = []
    observed = Observed(generation=1, ready_revision="new")
    for _ in range(4):
        result = planned(deployment([worker("a", age=1)], observed=observed), seen("a", Phase.EXITED, "segfault"))
        observed = result.observed
        started.append(bool(result.start))
    assert started == [True, True, False, False]
    assert next_try(observed, POLICY) == after(2 * POLICY.backoff_seconds)


def test_crashes_are_forgotten_after_a_calm_time() -> None:
    observed = Observed(generation=1, ready_revision="new", crashes=2, failed_at=after(-11), reason="x")
    result = planned(deployment([worker("a", age=10.5)], observed=observed), seen("a"))
    assert (result.observed.crashes, result.observed.failed_at) == (0, None)


def test_a_sibling_at_rest_does_not_hide_a_worker_that_fails_again_and_again() -> None:
    observed = Observed(generation=1, ready_revision="new", failures=1, failed_at=after(-10))
    given = deployment([worker("a"), worker("b", Phase.LOADING, age=1)], of=target(workers=2), observed=observed)
    result = planned(given, seen("a"), seen("b", Phase.EXITED, "out of memory"))
    assert result.observed.failures == 2
    assert not result.start


def test_the_last_failed_workers_are_kept_for_their_logs() -> None:
    kept = [worker(name, Phase.EXITED, age=age) for name, age in (("a", 90), ("b", 60))]
    given = deployment([*kept, worker("c", Phase.LOADING, age=30)])
    result = planned(given, seen("a", Phase.EXITED), seen("b", Phase.EXITED), seen("c", Phase.EXITED, "again"))
    assert stops(result) == {"a"}
    assert phases(result) == {"b": Phase.EXITED, "c": Phase.EXITED}


def test_a_worker_given_up_whose_process_still_runs_is_stopped_again() -> None:
    assert stops(planned(deployment([worker("a", Phase.EXITED)]), seen("a", Phase.LOADING)), forget=False) == {"a"}


def test_a_refused_start_is_a_failure_in_the_launchers_words() -> None:
    result = with_launch_failure(planned(deployment()), "w1", "no such command: nope", NOW, POLICY)
    assert (result.workers, result.observed.failures, result.observed.reason) == ((), 1, "no such command: nope")
    assert result.due_at == after(POLICY.backoff_seconds)


def test_a_new_target_starts_without_the_old_ones_pauses() -> None:
    failed = Observed(generation=1, failures=6, failed_at=NOW, reason="x")
    result = planned(deployment(of=target("newer", generation=2), observed=failed))
    assert result.start == ("w1",)
    assert (result.observed.failures, result.observed.reason) == (0, None)


# Updates


def test_the_old_serve_until_the_new_are_ready() -> None:
    old = [worker("a", revision="old"), worker("b", revision="old")]
    before = planned(deployment(old, of=target(workers=2)), seen("a"), seen("b"))
    assert before.start == ("w1", "w2")
    assert (phases(before)["a"], phases(before)["b"]) == (Phase.READY, Phase.READY)

    new = [worker("c", Phase.LOADING), worker("d", Phase.LOADING)]
    half = planned(
        deployment(old + new, of=target(workers=2)), seen("a"), seen("b"), seen("c"), seen("d", Phase.LOADING)
    )
    assert sorted(phases(half).values()) == ["draining", "loading", "ready", "ready"]
    assert not half.stop


def test_old_workers_that_were_never_ready_are_stopped_at_once() -> None:
    result = planned(deployment([worker("a", Phase.LOADING, "old")]), seen("a", Phase.LOADING))
    assert stops(result) == {"a"}
    assert result.start == ("w1",)


def test_a_new_revision_that_fails_leaves_the_old_serving() -> None:
    given = deployment([worker("a", revision="old"), worker("b", Phase.LOADING)])
    result = planned(given, seen("a"), seen("b", Phase.EXITED, "bad parameter"))
    assert phases(result)["a"] is Phase.READY
    assert result.observed.reason == "bad parameter"


def test_draining_ends_when_the_last_call_has() -> None:
    given = deployment([worker("a"), worker("b", Phase.DRAINING, draining_since=after(-5))])
    assert not planned(given, seen("a"), seen("b"), busy=1).stop
    assert stops(planned(given, seen("a"), seen("b"), busy=0)) == {"b"}


def test_draining_waits_until_every_gateway_has_heard_of_it() -> None:
    given = deployment([worker("a"), worker("b", Phase.DRAINING, draining_since=after(-0.1))])
    assert not planned(given, seen("a"), seen("b"), busy=0).stop


def test_draining_is_bounded() -> None:
    given = deployment([worker("a"), worker("b", Phase.DRAINING, draining_since=after(-POLICY.drain_seconds))])
    assert stops(planned(given, seen("a"), seen("b"), busy=7)) == {"b"}


# Scaling, deletion, built-ins


def test_scaling_down_drains_the_newest() -> None:
    given = deployment(
        [worker("a", age=9), worker("b", age=5), worker("c", Phase.LOADING, age=1)], of=target(workers=1)
    )
    result = planned(given, seen("a"), seen("b"), seen("c", Phase.LOADING))
    assert stops(result) == {"c"}
    assert phases(result) == {"a": Phase.READY, "b": Phase.DRAINING}


def test_scaling_up_touches_nobody() -> None:
    result = planned(deployment([worker("a")], of=target(workers=3, generation=2)), seen("a"))
    assert (phases(result)["a"], len(result.start), result.stop) == (Phase.READY, 2, ())


def test_deletion_drains_stops_and_then_removes() -> None:
    gone = target(deleted=True)
    first = planned(deployment([worker("a"), worker("b", Phase.LOADING)], of=gone), seen("a"), seen("b", Phase.LOADING))
    assert (phases(first), stops(first), first.remove) == ({"a": Phase.DRAINING}, {"b"}, False)
    drained = deployment([worker("a", Phase.DRAINING, draining_since=after(-3))], of=gone)
    assert stops(planned(drained, seen("a"))) == {"a"}
    dying = planned(deployment(of=gone), seen("a"))
    assert (stops(dying), dying.remove) == ({"a"}, False)
    assert planned(deployment(of=gone)).remove


def test_deletion_forgets_failed_workers() -> None:
    result = planned(deployment([worker("a", Phase.EXITED)], of=target(deleted=True)), seen("a", Phase.EXITED))
    assert (stops(result), result.workers) == ({"a"}, ())


def test_a_built_in_starts_when_a_call_asks_for_it() -> None:
    idle = deployment(of=target(workers=0), built_in=True)
    assert not planned(idle).start
    assert planned(replace(idle, observed=Observed(generation=1, demanded_at=after(-1)))).start == ("w1",)


def test_a_built_in_with_min_workers_starts_with_the_server() -> None:
    assert planned(deployment(of=target(workers=1), built_in=True)).start == ("w1",)


def test_a_built_in_keeps_the_worker_it_has() -> None:
    result = planned(deployment([worker("a")], of=target(workers=0), built_in=True), seen("a"))
    assert phases(result) == {"a": Phase.READY}


def test_old_demand_for_a_built_in_that_failed_is_forgotten_and_so_is_the_failure() -> None:
    observed = Observed(generation=1, failures=3, failed_at=after(-100), reason="x", demanded_at=after(-601))
    result = planned(deployment(of=target(workers=0), observed=observed, built_in=True))
    assert not result.start
    assert (result.observed.failures, result.observed.reason) == (0, None)
