"""What `plan` never does, whatever happens to workers: a simulated launcher driven by hypothesis."""

import itertools
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelyard.domain.deployments import COMING, Deployment, Observation, Observed, Phase
from modelyard.domain.lifecycle import status_of
from modelyard.domain.plans import Plan, Policy
from modelyard.domain.rollout import KEPT_EXITED, plan
from modelyard.testing.deployments import after, deployment, seen, target

POLICY = Policy(settle_seconds=1, drain_seconds=30)

ACTIONS = st.one_of(
    st.tuples(st.just("pass"), st.sampled_from([0.05, 0.3, 2.0, 40.0, 400.0])),
    st.tuples(st.just("grow"), st.integers(0, 5)),  # one worker gets further
    st.tuples(st.just("load"), st.integers(0, 5)),  # one worker gets ready
    st.tuples(st.just("load all"), st.just(0)),
    st.tuples(st.just("die"), st.integers(0, 5)),
    st.tuples(st.just("vanish"), st.integers(0, 5)),
    st.tuples(st.just("busy"), st.just(0)),  # every worker has a call under way
    st.tuples(st.just("revise"), st.sampled_from(["r1", "r2", "r3"])),
    st.tuples(st.just("scale"), st.integers(0, 4)),
    st.tuples(st.just("crash"), st.sampled_from(["written", "started"])),  # the reconciler, in the middle
)
_NEXT = {Phase.STARTING: Phase.PULLING, Phase.PULLING: Phase.LOADING, Phase.LOADING: Phase.READY}


@dataclass
class World:
    """A launcher and a store, in memory."""

    deployment: Deployment = field(default_factory=lambda: deployment(of=target("r1", workers=2), observed=Observed()))
    there: dict[str, Observation] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)
    now: float = 0
    ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def step(self, crash: str | None = None) -> Plan:
        """One step of the reconciler; ``crash`` ends it after writing down, or after starting."""
        before = self.deployment
        result = plan(
            before,
            list(self.there.values()),
            after(self.now),
            POLICY,
            new_id=lambda: f"w{next(self.ids)}",
            in_flight=lambda worker_id: int(worker_id in self.busy),
        )
        self.check(before, result)
        self.deployment = replace(before, workers=result.workers)
        if crash == "written":
            return result
        for row in result.workers:
            if row.id in result.start:
                self.there.setdefault(row.id, seen(row.id, Phase.STARTING, revision=row.revision))
        if crash == "started":
            return result
        for stop in result.stop:
            if stop.forget:
                self.there.pop(stop.worker_id, None)
            elif stop.worker_id in self.there:
                self.there[stop.worker_id] = replace(self.there[stop.worker_id], phase=Phase.EXITED)
        self.deployment = replace(self.deployment, observed=result.observed)
        return result

    def check(self, before: Deployment, result: Plan) -> None:
        wanted = 0 if before.target.deleted else max(1, before.target.min_workers)
        active = [row for row in result.workers if row.phase in (*COMING, Phase.READY)]
        current = [row for row in active if row.revision == before.target.revision]
        earlier = [row for row in active if row.revision != before.target.revision]
        assert len(current) <= wanted
        assert len(earlier) <= wanted
        assert len({row.id for row in result.workers}) == len(result.workers)
        assert sum(row.phase is Phase.EXITED for row in result.workers) <= KEPT_EXITED
        ended = {stop.worker_id for stop in result.stop}
        assert not ended & set(result.start)
        # A worker that serves is never stopped: it drains first.
        alive = {id for id, observation in self.there.items() if observation.phase is not Phase.EXITED}
        for row in before.workers:
            if row.phase is Phase.READY and row.id in alive:
                assert row.id not in ended
        # Nor does the last one that serves begin to drain before another one does.
        serving = [row for row in before.workers if row.phase is Phase.READY and row.id in alive]
        if serving and not before.target.deleted:
            assert any(row.phase is Phase.READY for row in result.workers)
        # No call that is under way is cut while there is time left to finish it.
        for row in before.workers:
            if row.phase is Phase.DRAINING and row.id in alive and row.id in self.busy and row.id in ended:
                assert row.draining_since is not None
                assert (after(self.now) - row.draining_since).total_seconds() >= POLICY.drain_seconds

    def act(self, action: str, value: object) -> None:
        ids = sorted(self.there)
        chosen = ids[value % len(ids)] if isinstance(value, int) and ids else None
        if action == "pass":
            assert isinstance(value, float)
            self.now += value
        elif action == "grow" and chosen:
            now = self.there[chosen]
            self.there[chosen] = replace(now, phase=_NEXT.get(now.phase, now.phase))
        elif action == "load" and chosen:
            self._load(chosen)
        elif action == "load all":
            for id in ids:
                self._load(id)
        elif action == "die" and chosen:
            self.there[chosen] = replace(self.there[chosen], phase=Phase.EXITED, detail="died")
        elif action == "vanish" and chosen:
            del self.there[chosen]
        elif action == "busy":
            self.busy = set(ids)
        elif action in ("revise", "scale"):
            old = self.deployment.target
            change = {"revision": value} if action == "revise" else {"min_workers": value}
            self.deployment = replace(
                self.deployment,
                target=replace(old, generation=old.generation + 1, **change),  # type: ignore[arg-type]
            )

    def _load(self, id: str) -> None:
        if self.there[id].phase is not Phase.EXITED:
            self.there[id] = replace(self.there[id], phase=Phase.READY)


def calm(world: World) -> None:
    """Nothing fails any more: every worker gets on, every call ends, time passes."""
    world.busy.clear()
    for _ in range(20):
        world.now += 301
        for id, now in world.there.items():
            world.there[id] = replace(now, phase=_NEXT.get(now.phase, now.phase))
        world.step()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ACTIONS, max_size=40))
def test_whatever_happens_bounds_hold_and_calm_ends_in_rest(actions: list[tuple[str, object]]) -> None:
    world = World()
    for action, value in actions:
        world.act(action, value)
        world.step(crash=str(value) if action == "crash" else None)
    calm(world)

    settled = world.deployment
    ready = [row for row in settled.workers if row.phase is Phase.READY]
    assert {row.revision for row in ready} == {settled.target.revision}
    assert len(ready) == max(1, settled.target.min_workers)
    assert {row.id for row in settled.workers} == set(world.there)
    assert status_of(settled, after(world.now))[0] == "READY"
    at_rest = world.step()
    assert (at_rest.start, at_rest.stop, at_rest.workers) == ((), (), settled.workers)


@settings(max_examples=100, deadline=None)
@given(st.lists(ACTIONS, max_size=25))
def test_a_deleted_deployment_always_disappears(actions: list[tuple[str, object]]) -> None:
    world = World()
    for action, value in actions:
        world.act(action, value)
        world.step(crash=str(value) if action == "crash" else None)
    world.deployment = replace(
        world.deployment, target=replace(world.deployment.target, deleted=True, generation=1_000)
    )
    world.busy.clear()
    removed = False
    for _ in range(8):
        world.now += 31
        removed = world.step().remove
    assert removed
    assert world.there == {}
