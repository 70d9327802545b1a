"""Deployments between their steps, looked at without the store."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from modelyard.clock import Clock
from modelyard.control.reconciling.probe import Prober
from modelyard.domain.deployments import COMING, Deployment, Observation, Phase
from modelyard.domain.snapshots import Snapshot
from modelyard.launchers.base import Launcher


@dataclass(slots=True)
class _Entry:
    deployment: Deployment
    snapshot: Snapshot
    look_at: float


class Watch:
    """Knows how deployments looked after their last step, and finds those that do not look so any more.

    Workers on their way are looked at often (a tenth of their age, 50 to 250 ms), others once in
    ``rest_seconds``. It decides nothing: whoever is told of a surprise asks for a step, which looks again
    under the lease.
    """

    def __init__(self, launcher: Launcher, prober: Prober, clock: Clock, rest_seconds: float) -> None:
        self._launcher = launcher
        self._prober = prober
        self._clock = clock
        self._rest_seconds = rest_seconds
        self._entries: dict[str, _Entry] = {}

    def add(self, deployment: Deployment, snapshot: Snapshot) -> None:
        if deployment.workers:
            entry = _Entry(deployment, snapshot, 0)
            entry.look_at = self._clock.monotonic() + self._interval(deployment)
            self._entries[deployment.id] = entry

    def drop(self, deployment_id: str) -> None:
        self._entries.pop(deployment_id, None)

    def seconds(self) -> float:
        """Until the next look is due."""
        at = min((entry.look_at for entry in self._entries.values()), default=float("inf"))
        return max(0.0, min(self._rest_seconds, at - self._clock.monotonic()))

    async def surprises(self) -> list[str]:
        """Ids of the deployments due for a look whose workers are not as they were."""
        now = self._clock.monotonic()
        due = [entry for entry in self._entries.values() if entry.look_at <= now]
        for entry in due:
            entry.look_at = now + self._interval(entry.deployment)
        looks = await asyncio.gather(*(self._look(entry) for entry in due))
        return [entry.deployment.id for entry, surprising in zip(due, looks, strict=True) if surprising]

    async def _look(self, entry: _Entry) -> bool:
        seen = await self._launcher.observe(entry.deployment.id)
        judged = await self._prober.judge(entry.deployment, entry.snapshot, seen)
        # A step that came in between has looked itself.
        return self._entries.get(entry.deployment.id) is entry and not as_expected(entry.deployment, judged)

    def _interval(self, deployment: Deployment) -> float:
        now = self._clock.now()
        ages = [(now - row.created_at).total_seconds() for row in deployment.workers if row.phase in COMING]
        return min([self._rest_seconds, *(min(0.25, max(0.05, age / 10)) for age in ages)])


def as_expected(deployment: Deployment, seen: Sequence[Observation]) -> bool:
    """Whether exactly the workers written down exist, each as far as it was."""
    rows = {row.id: row.phase for row in deployment.workers}
    found = {each.worker_id: each.phase for each in seen}
    for row in deployment.workers:
        # Of workers that drain, and of earlier revisions, nobody asks how they are: only whether they run.
        unasked = row.phase is Phase.DRAINING or row.revision != deployment.revision
        if unasked and row.phase is not Phase.EXITED and found.get(row.id, Phase.EXITED) is not Phase.EXITED:
            found[row.id] = row.phase
    return rows == found
