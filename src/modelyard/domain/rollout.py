"""What to do next for a deployment: a pure function of what is wanted, written down and seen.

A worker's way through the rows that are written down (`plan`)::

    STARTING ─ PULLING ─ LOADING ─ READY ─ DRAINING ─ (no row)
        └─────────┴─────────┴────────┴── EXITED ──── (no row, once newer ones have failed)

How many workers there are at once while revisions change, what drains, and when the next try is due
are decided here and nowhere else.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from modelyard.domain.deployments import (
    COMING,
    Deployment,
    Event,
    Observation,
    Observed,
    Phase,
    Worker,
    served_revision,
)
from modelyard.domain.lifecycle import is_failing
from modelyard.domain.plans import Plan, Policy, Stop, counted, next_try
from modelyard.domain.startup import with_one_more

GIVEN_UP_GRACE_SECONDS = 2.0
"""A worker that does not answer any more hardly listens to a polite request, but it may."""

KEPT_EXITED = 2
"""So many workers that failed are kept for a while, so that their logs can be read."""

NO_ROOM = (
    "There is no room for old and new workers at once: an old one stops before a new one starts, and calls that no "
    "worker is left for wait meanwhile."
)


def plan(
    deployment: Deployment,
    observations: Sequence[Observation],
    now: datetime,
    policy: Policy,
    *,
    new_id: Callable[[], str],
    in_flight: Callable[[str], int] = lambda worker_id: 0,
    desired: int | None = None,
    room: int | None = None,
    known: Collection[str] = (),
) -> Plan:
    """What to do for ``deployment`` given what its launcher and the health probes see.

    ``observations`` are all workers of the deployment that exist; READY among them means that the health
    route answered, EXITED also that a worker was given up. ``in_flight`` counts calls under way on a worker.
    ``desired`` is how many workers load asks for (`modelyard.domain.autoscale`); None: nobody has looked at load.
    ``room`` is how many more workers there is room for; None: nothing is reserved, so nobody counts. ``known`` are
    the revisions whose workers can be started.

    Kept whatever happens: workers on their way and ready never exceed what is wanted, plus as many of
    earlier revisions that still serve; while a worker of the target's revision is not ready, the earlier
    ready ones stay; the same target and the same observations lead to rest.
    """
    draft = _Draft(deployment, now, policy, new_id, desired, room)
    draft.meet(observations)
    draft.judge()
    draft.give_up(known)
    draft.adjust(in_flight)
    draft.retire_earlier()
    draft.end_drained(in_flight)
    draft.prune_exited()
    return draft.plan(observations)


@dataclass(slots=True)
class _Draft:
    """A plan in the making: the methods run in the order in which `plan` calls them."""

    deployment: Deployment
    now: datetime
    policy: Policy
    new_id: Callable[[], str]
    desired: int | None
    room: int | None
    observed: Observed = field(init=False)
    rows: dict[str, Worker] = field(init=False, default_factory=dict)
    start: list[str] = field(init=False, default_factory=list)
    stop: dict[str, Stop] = field(init=False, default_factory=dict)
    events: list[Event] = field(init=False, default_factory=list)
    failed: list[Worker] = field(init=False, default_factory=list)
    became_ready: bool = field(init=False, default=False)
    soon: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        observed, target = self.deployment.observed, self.deployment.target
        if observed.generation != target.generation:
            # Whatever was changed may be the remedy: the new target starts without the old one's pauses.
            observed = replace(
                observed, generation=target.generation, failures=0, crashes=0, failed_at=None, reason=None
            )
            if observed.failed_revision != target.revision:
                observed = replace(observed, failed_revision=None, note=None)
        self.observed = observed

    @property
    def revision(self) -> str:
        return served_revision(self.deployment.target, self.observed)

    # What is there

    def meet(self, observations: Sequence[Observation]) -> None:
        """Bring the rows written down and what was seen together."""
        seen = {observation.worker_id: observation for observation in observations}
        for row in self.deployment.workers:
            self._meet_one(row, seen.pop(row.id, None))
        for orphan in seen.values():
            self.end(orphan.worker_id)

    def _meet_one(self, row: Worker, seen: Observation | None) -> None:
        if seen is None:
            if row.phase is Phase.STARTING and self.is_current(row):
                self.rows[row.id] = row
                self.start.append(row.id)
            elif row.phase not in (Phase.EXITED, Phase.DRAINING):
                self.tell("lost", f"Worker {row.id} is gone without a trace.")
        elif row.phase is Phase.EXITED:
            self.rows[row.id] = row
            if seen.phase is not Phase.EXITED:
                self.stop[row.id] = Stop(row.id, GIVEN_UP_GRACE_SECONDS, forget=False)
        elif seen.phase is Phase.EXITED:
            self._meet_exited(row, seen)
        else:
            self.rows[row.id] = self._updated(row, seen)

    def _meet_exited(self, row: Worker, seen: Observation) -> None:
        if row.phase is Phase.DRAINING or not self.is_current(row):
            self.end(row.id)
            return
        self.failed.append(row)
        self.rows[row.id] = replace(row, phase=Phase.EXITED, detail=seen.detail)
        # It may have been given up while its process still runs.
        self.stop[row.id] = Stop(row.id, GIVEN_UP_GRACE_SECONDS, forget=False)

    def _updated(self, row: Worker, seen: Observation) -> Worker:
        row = replace(row, address=seen.address or row.address)
        if row.phase in (Phase.READY, Phase.DRAINING):
            return row
        if seen.phase is Phase.READY:
            self.became_ready |= self.is_current(row)
            took = (self.now - row.created_at).total_seconds()
            self.observed = replace(self.observed, start_seconds=with_one_more(self.observed.start_seconds, took))
            self.tell("ready", f"Worker {row.id} is ready after {took:.1f} s.")
            return replace(row, phase=Phase.READY, detail=None, ready_at=self.now)
        return replace(row, phase=seen.phase, detail=seen.detail)

    def is_current(self, row: Worker) -> bool:
        return row.revision == self.revision and not self.deployment.target.deleted

    # What it means

    def judge(self) -> None:
        """Count failures; successes end the counting."""
        for row in self.failed:
            self.tell("failed", f"Worker {row.id}: {self.rows[row.id].detail or 'ended'}")
        if self.failed:
            # Several that fail together are one failure: they had the same cause.
            self.observed = counted(self.observed, self.failed[-1], self.now, self.policy)
            self.observed = replace(self.observed, reason=self.rows[self.failed[-1].id].detail)
        if self.became_ready:
            self.observed = replace(self.observed, failures=0, reason=None)
        ready = self.current(Phase.READY)
        if ready:
            self.observed = replace(self.observed, ready_revision=self.revision)
        calm = timedelta(seconds=self.policy.backoff_seconds)
        failed_at = self.observed.failed_at
        if failed_at and not self.observed.failures and ready and self.now - failed_at >= calm:
            self.observed = replace(self.observed, crashes=0, failed_at=None, reason=None)

    def give_up(self, known: Collection[str]) -> None:
        """Go back to the last good revision where the target's fails again and again."""
        observed, good = self.observed, self.observed.ready_revision
        if good == self.revision or good not in known or self.deployment.target.deleted:
            return
        if observed.failures < self.policy.rollback_after_failures:
            return
        words = (
            f"Revision {self.revision} was given up after {observed.failures} workers in a row that never got ready; "
            f"revision {good} serves instead. Its last trouble: {observed.reason or 'unknown'}"
        )
        self.tell("rolled_back", words)
        self.observed = replace(
            observed,
            failed_revision=self.revision,
            note=words,
            failures=0,
            crashes=0,
            failed_at=None,
            reason=None,
        )

    def current(self, *phases: Phase) -> list[Worker]:
        """Workers of the revision that is to serve in one of ``phases``, oldest first."""
        rows = [row for row in self.rows.values() if self.is_current(row) and row.phase in phases]
        return sorted(rows, key=lambda row: (row.created_at, row.id))

    def earlier(self, *phases: Phase) -> list[Worker]:
        """Workers of any other revision, or of a deleted deployment."""
        rows = [row for row in self.rows.values() if not self.is_current(row) and row.phase in phases]
        return sorted(rows, key=lambda row: (row.created_at, row.id))

    # What to do

    def wanted(self) -> int:
        """None once deleted; what load asks for, within the target's limits, and one until the revision that is to
        serve was ready once; where nobody has looked at load, one for a built-in deployment that is used, else
        ``max(1, min_workers)``."""
        target = self.deployment.target
        if target.deleted:
            return 0
        if self.desired is not None:
            unproven = not self.deployment.is_built_in and self.observed.ready_revision != self.revision
            return max(target.min_workers, min(self.desired, target.max_workers), int(unproven))
        if not self.deployment.is_built_in or target.min_workers:
            return max(1, target.min_workers)
        if any(row.phase in (*COMING, Phase.READY) for row in self.rows.values()):
            return 1
        demanded_at = self.observed.demanded_at
        return int(demanded_at is not None and self.now - demanded_at < timedelta(seconds=self.policy.idle_seconds))

    def adjust(self, in_flight: Callable[[str], int]) -> None:
        """Start or take away workers of the revision that is to serve."""
        wanted = self.wanted()
        if self.desired is not None:
            self.observed = replace(self.observed, wanted=wanted)
        if wanted == 0 and not self.deployment.target.deleted:
            # Nobody waits for it any more: the next call finds a clean slate.
            self.observed = replace(self.observed, failures=0, crashes=0, failed_at=None, reason=None)
        coming, ready = self.current(*COMING), self.current(Phase.READY)
        missing = wanted - len(coming) - len(ready)
        if missing > 0:
            self._start(missing, coming)
        # Who serves nobody goes first, then who serves the fewest; of equals the newest.
        by_use = sorted(ready, key=lambda row: (in_flight(row.id), -ready.index(row)))
        for row in [*reversed(coming), *by_use][: max(0, -missing)]:
            self.retire(row)

    def _start(self, missing: int, coming: list[Worker]) -> None:
        if is_failing(self.observed):
            at = next_try(self.observed, self.policy)
            if coming or (at is not None and self.now < at):
                return
            missing = 1  # while it fails, one at a time is enough to see whether it still does
        for _ in range(self.fitting(missing, coming)):
            worker_id = self.new_id()
            self.rows[worker_id] = Worker(
                id=worker_id,
                deployment_id=self.deployment.id,
                revision=self.revision,
                created_at=self.now,
            )
            self.start.append(worker_id)
            self.tell("started", f"Worker {worker_id} of revision {self.revision} starts.")

    def fitting(self, missing: int, coming: list[Worker]) -> int:
        """How many of ``missing`` start now. Where earlier workers take all the room, one of them goes first; that is
        said one step ahead. Where nothing of ours is in the way, the launcher says best what is."""
        in_the_way = self.earlier(Phase.READY, Phase.DRAINING)
        if self.room is None or not in_the_way:
            return missing
        if self.room == 0 and not coming and not self.current(Phase.READY):
            if self.observed.note is None:
                self.observed = replace(self.observed, note=NO_ROOM)
                self.tell("no_room", NO_ROOM)
                self.soon = True
            elif not self.earlier(Phase.DRAINING):
                self.retire(in_the_way[0])
        return min(missing, self.room)

    def retire_earlier(self) -> None:
        """Let as many earlier workers go as new ones are ready; those never ready served nobody."""
        for row in self.earlier(*COMING):
            self.retire(row)
        serving = self.earlier(Phase.READY)
        if self.observed.note == NO_ROOM and not serving and self.current(Phase.READY):
            self.observed = replace(self.observed, note=None)
        kept = max(0, self.wanted() - len(self.current(Phase.READY)))
        for row in serving[: max(0, len(serving) - kept)]:
            self.retire(row)

    def retire(self, row: Worker) -> None:
        """Drain a worker that may serve calls; stop one that does not."""
        if row.phase is Phase.READY:
            self.rows[row.id] = replace(row, phase=Phase.DRAINING, draining_since=self.now)
            self.tell("draining", f"Worker {row.id} takes no new calls.")
        else:
            self.end(row.id)

    def end_drained(self, in_flight: Callable[[str], int]) -> None:
        for row in list(self.rows.values()):
            if row.phase is not Phase.DRAINING:
                continue
            drained = (self.now - (row.draining_since or self.now)).total_seconds()
            settled = drained >= self.policy.settle_seconds
            if drained >= self.policy.drain_seconds or (settled and in_flight(row.id) == 0):
                self.end(row.id)
                self.tell("stopped", f"Worker {row.id} is stopped, {drained:.1f} s after its last new call.")

    def prune_exited(self) -> None:
        exited = sorted(
            (row for row in self.rows.values() if row.phase is Phase.EXITED), key=lambda row: (row.created_at, row.id)
        )
        keep = 0 if self.deployment.target.deleted else KEPT_EXITED
        for row in exited[: max(0, len(exited) - keep)]:
            self.end(row.id)

    def end(self, worker_id: str) -> None:
        self.rows.pop(worker_id, None)
        if worker_id in self.start:
            self.start.remove(worker_id)
        self.stop[worker_id] = Stop(worker_id, self.policy.grace_seconds)

    # The result

    def plan(self, observations: Sequence[Observation]) -> Plan:
        return Plan(
            workers=tuple(self.rows.values()),
            observed=self.observed,
            due_at=self.due_at(),
            start=tuple(self.start),
            stop=tuple(self.stop.values()),
            events=tuple(self.events),
            remove=self.deployment.target.deleted and not self.rows and not observations,
        )

    def due_at(self) -> datetime:
        """Soon while something moves, rarely at rest."""
        waits = [self.policy.steady_seconds]
        if self.current(*COMING):
            waits.append(self.policy.moving_seconds)
        for row in self.rows.values():
            if row.phase is Phase.DRAINING:
                drained = (self.now - (row.draining_since or self.now)).total_seconds()
                settled_in = min(self.policy.settle_seconds, self.policy.drain_seconds) - drained
                waits.append(settled_in if settled_in > 0 else self.policy.moving_seconds / 2)
        at = next_try(self.observed, self.policy)
        if at is not None and len(self.current(*COMING, Phase.READY)) < self.wanted():
            waits.append(max(0.0, (at - self.now).total_seconds()))
        if self.deployment.target.deleted or self.soon:
            waits.append(0.25)
        return self.now + timedelta(seconds=min(waits))

    def tell(self, kind: str, message: str) -> None:
        self.events.append(Event(self.deployment.id, self.now, kind, message))
