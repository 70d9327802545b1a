"""Looks at what is there, once in a while, and tells Prometheus: nothing here is on a call's path.

Every process tells its own part (`modelyard.control.telemetry.metrics`). What is gone is told as 0 where several
processes share their metrics, because their files know no removal, and not at all where there is one.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import structlog
from prometheus_client import Counter, Gauge

from modelyard.clock import Clock
from modelyard.control.telemetry import metrics
from modelyard.control.usage.writer import UsageWriter
from modelyard.domain.deployments import Deployment
from modelyard.domain.load import GatewayLoad
from modelyard.errors import Unavailable
from modelyard.store import Store

log = structlog.get_logger(__name__)

LOOK_SECONDS = 2.0
DATABASE_SECONDS = 5.0


class Watched(Protocol):
    """A gateway, as far as it is looked at."""

    def load(self) -> GatewayLoad: ...

    def vendor_tallies(self) -> Mapping[str, tuple[int, int]]:
        """By vendor: further tries, and keys that were given a rest, ever since the start."""
        ...


class CallGauges:
    """Of a process with a gateway."""

    def __init__(self, gateway: Watched, usage: UsageWriter, clock: Clock) -> None:
        self._gateway = gateway
        self._usage = usage
        self._clock = clock
        self._in_flight = _ByLabels(metrics.IN_FLIGHT)
        self._waiting = _ByLabels(metrics.WAITING)
        self._told: dict[str, tuple[int, int]] = {}
        self._dropped = self._unjournaled = 0

    async def run(self) -> None:
        """Tell every `LOOK_SECONDS` until cancelled."""
        while True:
            self.tell()
            await self._clock.sleep(LOOK_SECONDS)

    def tell(self) -> None:
        load = self._gateway.load().deployments
        self._in_flight.tell({(name,): each.in_flight for name, each in load.items()})
        self._waiting.tell({(name,): each.waiting for name, each in load.items()})
        metrics.USAGE_WAITING.set(self._usage.waiting)
        metrics.USAGE_LAG.set(self._usage.lag_seconds)
        self._dropped = _counted(metrics.USAGE_DROPPED, self._dropped, self._usage.dropped)
        self._unjournaled = _counted(metrics.USAGE_UNJOURNALED, self._unjournaled, self._usage.unjournaled)
        for vendor, (tries, rests) in self._gateway.vendor_tallies().items():
            before = self._told.get(vendor, (0, 0))
            metrics.VENDOR_RETRIES.labels(vendor).inc(tries - before[0])
            metrics.VENDOR_RESTS.labels(vendor).inc(rests - before[1])
            self._told[vendor] = (tries, rests)


class WorkerGauges:
    """Of the process that controls."""

    def __init__(self, deployments: Callable[[], Iterable[Deployment]], clock: Clock) -> None:
        self._deployments = deployments
        self._clock = clock
        self._workers = _ByLabels(metrics.WORKERS)

    async def run(self) -> None:
        """Tell every `LOOK_SECONDS` until cancelled."""
        while True:
            self.tell()
            await self._clock.sleep(LOOK_SECONDS)

    def tell(self) -> None:
        found: dict[tuple[str, ...], int] = {}
        for deployment in self._deployments():
            for worker in deployment.workers:
                labels = (deployment.id, worker.phase.value)
                found[labels] = found.get(labels, 0) + 1
        self._workers.tell(found)


class DatabaseGauge:
    """Whether this process can use the database."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def run(self) -> None:
        """Look every `DATABASE_SECONDS` until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(DATABASE_SECONDS)

    async def look(self) -> None:
        try:
            await self._store.pulse()
        except Unavailable as error:
            log.debug("the database is away", error=str(error))
            metrics.DATABASE_UP.set(0)
        else:
            metrics.DATABASE_UP.set(1)


class _ByLabels:
    """A gauge whose label values come and go."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._shown: set[tuple[str, ...]] = set()

    def tell(self, values: Mapping[tuple[str, ...], int]) -> None:
        for labels, value in values.items():
            self._gauge.labels(*labels).set(value)
        for labels in self._shown - values.keys():
            self._gauge.labels(*labels).set(0)
            if metrics.SHARED_METRICS not in os.environ:
                self._gauge.remove(*labels)
        self._shown = set(values)


def _counted(counter: Counter, before: int, now: int) -> int:
    counter.inc(now - before)
    return now
