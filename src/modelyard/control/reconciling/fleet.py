"""All gateways together: what each tells of its load, added up for whoever decides about workers.

A gateway writes one row, at most once a second, and whoever controls reads them all. A worker may be stopped once no
gateway has a call on it *and* every gateway has routes that do not lead to it any more: a row that is a second old
says nothing about the call that came since.
"""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import uuid4

import structlog

from modelyard.clock import Clock
from modelyard.control.routes import Routes
from modelyard.domain.load import GatewayLoad, GatewayReport, added
from modelyard.errors import Unavailable
from modelyard.store import Store

log = structlog.get_logger(__name__)

REPORT_SECONDS = 1.0
ALIVE_SECONDS = 5.0
"""A gateway that has nothing new to tell says so this often."""
SILENT_SECONDS = 20.0
"""One that tells nothing for so long is gone."""


class Busy(Protocol):
    """A gateway in this process."""

    def load(self) -> GatewayLoad: ...


def new_gateway_id() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"


class Reporter:
    """Tells the store of this process's gateway."""

    def __init__(self, gateway_id: str, store: Store, routes: Routes, gateway: Busy, clock: Clock) -> None:
        self._id = gateway_id
        self._store = store
        self._routes = routes
        self._gateway = gateway
        self._clock = clock
        self._told: GatewayReport | None = None
        self._told_at = float("-inf")

    async def run(self) -> None:
        """Until cancelled. While the store is away nothing is told, and calls go on."""
        while True:
            try:
                await self.tell()
            except Unavailable as error:
                log.debug("load is not told: the store is away", error=str(error))
            await self._clock.sleep(REPORT_SECONDS)

    async def tell(self) -> None:
        report = GatewayReport(self._routes.version, self._gateway.load())
        now = self._clock.monotonic()
        if report == self._told and now - self._told_at < ALIVE_SECONDS:
            return
        async with self._store.begin() as tx:
            await tx.gateways.report(self._id, report, self._clock.now())
        self._told, self._told_at = report, now

    async def leave(self) -> None:
        """There are no calls any more, and there will be none."""
        try:
            async with self._store.begin() as tx:
                await tx.gateways.forget([self._id])
        except Unavailable as error:
            log.debug("that a gateway left is not told", error=str(error))


@dataclass(slots=True)
class _Heard:
    """The last report of one gateway, and when it came, by our own monotonic clock: the others' may be wrong."""

    seen_at: datetime
    report: GatewayReport
    at: float


class Fleet:
    """The load of all gateways: of the one in this process as it is now, where there is one (``own``, told as
    ``own_id``), and of the others as they last told."""

    def __init__(
        self, store: Store, routes: Routes, clock: Clock, own: Callable[[], GatewayLoad] | None = None, own_id: str = ""
    ) -> None:
        self._store = store
        self._routes = routes
        self._clock = clock
        self._own = own
        self._own_id = own_id
        self._heard: dict[str, _Heard] = {}
        self._left: dict[str, int] = {}

    async def run(self) -> None:
        """Listen once a second until cancelled."""
        while True:
            try:
                await self.listen()
            except Unavailable as error:
                log.debug("load is not heard of: the store is away", error=str(error))
            await self._clock.sleep(REPORT_SECONDS)

    async def listen(self) -> None:
        async with self._store.read() as tx:
            reports = await tx.gateways.reports()
        now = self._clock.monotonic()
        heard = {}
        for name, (seen_at, report) in reports.items():
            before = self._heard.get(name)
            known = before is not None and (before.seen_at, before.report) == (seen_at, report)
            heard[name] = before if before is not None and known else _Heard(seen_at, report, now)
        self._heard = heard
        if silent := [name for name, each in heard.items() if now - each.at > SILENT_SECONDS]:
            async with self._store.begin() as tx:
                await tx.gateways.forget(silent)
                await tx.limits.give_up_lost()
        self._forget_workers()

    def load(self) -> GatewayLoad:
        own = [] if self._own is None else [self._own()]
        return added([*own, *(report.load for report in self._others())])

    def in_flight(self, worker_id: str) -> int:
        """Calls under way on a worker, and one more as long as a gateway may still give it calls that nobody has
        told of yet."""
        calls = self.load().workers.get(worker_id, 0)
        left = self._left_at(worker_id)
        if left is None or any(report.routes_version < left for report in self._others()):
            return calls + 1
        return calls

    def _others(self) -> list[GatewayReport]:
        now = self._clock.monotonic()
        return [
            each.report
            for name, each in self._heard.items()
            if name != self._own_id and now - each.at <= SILENT_SECONDS
        ]

    def _left_at(self, worker_id: str) -> int | None:
        """The version of the routes from which on no call finds this worker; None while calls do."""
        if worker_id not in self._left and not self._is_called(worker_id):
            self._left[worker_id] = self._routes.version
        return self._left.get(worker_id)

    def _is_called(self, worker_id: str) -> bool:
        return worker_id in self._routes.snapshot().workers

    def _forget_workers(self) -> None:
        there = {worker.id for each in self._routes.deployments() for worker in each.workers}
        self._left = {worker_id: version for worker_id, version in self._left.items() if worker_id in there}
