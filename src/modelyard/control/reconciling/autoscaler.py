"""Workers that follow load: the gateways are asked once a second how busy they are (`fleet`), and steps are told what
that means.

It decides nothing itself: `modelyard.domain.autoscale` does. What it remembers is the load of the last minute, and
when each deployment was last called; another process that takes over begins anew, which only delays taking away.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import structlog

from modelyard.clock import Clock
from modelyard.domain.autoscale import Sample, Windows, decide, recent, windows_of
from modelyard.domain.deployments import Deployment, Phase
from modelyard.domain.load import DeploymentLoad, GatewayLoad
from modelyard.settings import AutoscaleSettings

log = structlog.get_logger(__name__)

SAMPLE_SECONDS = 1.0
_LONGEST_SECONDS = 3600.0
"""The longest window that a deployment may ask for, and so the longest history that is kept."""

_NOTHING = DeploymentLoad()


class FleetLoad(Protocol):
    def load(self) -> GatewayLoad: ...

    def in_flight(self, worker_id: str) -> int: ...


@dataclass(slots=True)
class _Memory:
    """What is known of one deployment; monotonic seconds."""

    history: list[Sample] = field(default_factory=list)
    called_at: float | None = None
    told: int | None = None
    """The last number of workers that a step was asked to take."""


class Autoscaler:
    """A `modelyard.control.reconciling.step.LoadSource`. ``fleet`` knows the load of all gateways together,
    ``deployments`` gives all that are not deleted, ``nudge`` asks for a step."""

    def __init__(
        self,
        fleet: FleetLoad,
        deployments: Callable[[], Sequence[Deployment]],
        nudge: Callable[[str], None],
        clock: Clock,
        settings: AutoscaleSettings,
    ) -> None:
        self._fleet = fleet
        self._deployments = deployments
        self._nudge = nudge
        self._clock = clock
        self._windows = Windows(settings.idle_seconds, settings.up_window_seconds, settings.down_window_seconds)
        self._started = clock.monotonic()
        self._last = GatewayLoad()
        self._memories: dict[str, _Memory] = {}

    def in_flight(self, worker_id: str) -> int:
        return self._fleet.in_flight(worker_id)

    def desired(self, deployment: Deployment) -> int:
        now = self._clock.monotonic()
        windows = windows_of(deployment, self._windows)
        demanded_at = deployment.observed.demanded_at
        return decide(
            self._history(deployment.id, now),
            deployment,
            windows,
            now,
            idle_since=self._idle_since(deployment, now),
            grown_at=max((now - self._age(row.created_at) for row in deployment.workers), default=None),
            demanded=demanded_at is not None and self._age(demanded_at) < windows.idle_seconds,
        )

    async def run(self) -> None:
        """Look once a second until cancelled."""
        while True:
            self.look()
            await self._clock.sleep(SAMPLE_SECONDS)

    def look(self) -> None:
        """Take a sample, and ask for a step wherever another number of workers is wanted than the last step took."""
        self._sample()
        deployments = {deployment.id: deployment for deployment in self._deployments()}
        self._memories = {name: memory for name, memory in self._memories.items() if name in deployments}
        for deployment in deployments.values():
            # Where no step has taken any number yet, the first is on its way without us.
            if deployment.observed.wanted is not None:
                self._compare(deployment, deployment.observed.wanted)

    def _compare(self, deployment: Deployment, taken: int) -> None:
        wanted = self.desired(deployment)
        memory = self._memories.get(deployment.id)
        told = taken if memory is None or memory.told is None else memory.told
        if wanted != told:
            log.info("load wants another number of workers", deployment=deployment.id, wanted=wanted, before=told)
            self._nudge(deployment.id)
            self._memories.setdefault(deployment.id, _Memory()).told = wanted

    def _sample(self) -> None:
        now, load = self._clock.monotonic(), self._fleet.load()
        for name in load.deployments.keys() | self._memories.keys():
            new, old = load.deployments.get(name, _NOTHING), self._last.deployments.get(name, _NOTHING)
            memory = self._memories.setdefault(name, _Memory())
            if new.load or new.calls != old.calls:
                memory.called_at = now
            # Before the first sample there was no load, as far back as anybody has been looking.
            history = memory.history or [Sample(self._started, 0)]
            if history[-1].load != new.load:
                history.append(Sample(now, new.load))
            memory.history = recent(history, now - _LONGEST_SECONDS)
        self._last = load

    def _history(self, deployment_id: str, now: float) -> Sequence[Sample]:
        """What was sampled, and what is in flight at this very moment: a step that a call has asked for must not
        be told of the second before it."""
        memory = self._memories.get(deployment_id)
        history = (memory.history if memory else None) or [Sample(self._started, 0)]
        load = self._fleet.load().deployments.get(deployment_id, _NOTHING).load
        return history if history[-1].load == load else [*history, Sample(now, load)]

    def _idle_since(self, deployment: Deployment, now: float) -> float | None:
        """When there last was a reason to have workers, by the monotonic clock."""
        memory = self._memories.get(deployment.id)
        known = [] if memory is None or memory.called_at is None else [memory.called_at]
        # Calls that another server had seen are not known: what it left running is given its time anew.
        known += [
            max(self._started, now - self._age(row.ready_at))
            for row in deployment.workers
            if row.phase is Phase.READY and row.ready_at is not None
        ]
        return max(known, default=None)

    def _age(self, at: datetime) -> float:
        return (self._clock.now() - at).total_seconds()
