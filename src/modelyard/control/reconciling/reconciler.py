"""The reconciler: makes what is wanted what is there.

Deployments that are due are claimed by a lease and given one `step` each. A nudge is a hint that makes one due
now; polling the store finds it anyway. Between steps deployments are *watched* without touching the store:
processes are looked at and health routes asked, and only what is not as expected leads to a step.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from datetime import datetime
from uuid import uuid4

import structlog

from modelyard.clock import Clock
from modelyard.control.reconciling.demand import Demand
from modelyard.control.reconciling.probe import Prober
from modelyard.control.reconciling.settled import Pause, wait_settled
from modelyard.control.reconciling.step import Bench, LoadSource, Result, Stops, policy_of, step, worker_environment
from modelyard.control.reconciling.watch import Watch
from modelyard.control.telemetry import metrics
from modelyard.control.vault import Vault
from modelyard.domain.deployments import Deployment
from modelyard.domain.lifecycle import status_of
from modelyard.errors import NotFound, Unavailable
from modelyard.launchers.base import Launcher
from modelyard.settings import Settings
from modelyard.store import Store

log = structlog.get_logger(__name__)

ORPHAN_SECONDS = 30.0
"""How often workers are looked for whose deployment is gone."""

_SETTLED_POLL_SECONDS = 0.5
_SHORTEST_LOOK_SECONDS = 0.02


async def _nothing() -> None:
    pass


class Reconciler:
    """Any number may run on one store. `wake` makes it a `modelyard.gateway.ports.Waker`."""

    def __init__(
        self,
        store: Store,
        launcher: Launcher,
        clock: Clock,
        settings: Settings,
        *,
        load: LoadSource,
        vault: Vault | None = None,
        on_change: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self._store = store
        self._launcher = launcher
        self._clock = clock
        self._settings = settings.reconciler
        self._on_change = on_change
        self._prober = Prober(launcher, clock, settings.reconciler)
        self._stops = Stops(launcher)
        self._bench = Bench(
            store=store,
            launcher=launcher,
            prober=self._prober,
            stops=self._stops,
            clock=clock,
            load=load,
            policy=policy_of(settings),
            owner=f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}",
            lease_seconds=settings.reconciler.lease_seconds,
            worker_env=worker_environment(settings),
            vault=vault,
        )
        self._watch = Watch(launcher, self._prober, clock, settings.reconciler.poll_seconds)
        self._steps: dict[str, asyncio.Task[None]] = {}
        self._due: dict[str, datetime] = {}
        self._nudged: set[str] = set()
        self._demand = Demand(clock)
        self._unfinished: set[str] = set()
        self._stir = asyncio.Event()
        self._watched = asyncio.Event()
        self._changed = asyncio.Event()
        self._stepped: dict[str, asyncio.Event] = {}
        self._running: asyncio.Task[None] | None = None

    # From other rooms

    def nudge(self, deployment_id: str) -> None:
        """Look at this deployment now."""
        self._nudged.add(deployment_id)
        self._stir.set()
        self._changed.set()

    def wake(self, deployment_id: str) -> None:
        """A call wants a worker of this deployment: written down at most once a second."""
        if self._demand.note(deployment_id):
            self._stir.set()

    async def wait_settled(self, deployment_id: str, generation: int, timeout: float) -> Deployment:
        """See `modelyard.control.reconciling.settled`."""

        def watch() -> Pause:
            stepped = self._stepped.setdefault(deployment_id, asyncio.Event())
            return lambda: self._wait(stepped, _SETTLED_POLL_SECONDS)

        found = await wait_settled(self._store, self._clock, deployment_id, generation, timeout, watch)
        await self._on_change()  # whoever waited may call it now
        return found

    # Life

    async def run(self) -> None:
        """Work until cancelled, or until `aclose`."""
        self._running = asyncio.current_task()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._forever(self._take_over, once=True))
            group.create_task(self._forever(self._work))
            group.create_task(self._forever(self._look))
            group.create_task(self._forever(self._refresh))
            group.create_task(self._forever(self._end_orphans))

    async def aclose(self) -> None:
        """Stop taking work; let steps and stops under way finish (bounded)."""
        if self._running is not None:
            # Or it would replace workers that are being stopped.
            self._running.cancel()
            await asyncio.wait([self._running])
        if self._steps:
            await asyncio.wait(list(self._steps.values()), timeout=self._settings.lease_seconds)
        for task in self._steps.values():
            task.cancel()
        await self._stops.finish(self._bench.policy.grace_seconds)
        await self._prober.aclose()

    async def stop_all(self, grace: float) -> None:
        """Stop every worker of this launcher, and write down that they are gone. To be called after `aclose`,
        when no call is under way any more."""
        deployments = await self._launcher.deployments()
        seen = [worker for each in deployments for worker in await self._launcher.observe(each)]
        log.info("workers are stopped", workers=len(seen))
        await asyncio.gather(*(self._launcher.stop(worker.worker_id, grace) for worker in seen))
        try:
            await self._write_stopped(set(deployments))
        except Unavailable as error:
            log.warning("that workers are stopped could not be written down", error=str(error))

    async def _write_stopped(self, deployments: set[str]) -> None:
        now = self._clock.now()
        async with self._store.begin() as tx:
            for deployment_id in deployments:
                await tx.deployments.nudge(deployment_id, now)
            claimed = await tx.deployments.claim_due(self._bench.owner, now, self._settings.lease_seconds, 100_000)
            for each in claimed:
                if each.id in deployments:
                    await tx.worker_time.end((row.id for row in each.workers), now)
                await tx.deployments.apply(
                    each.id,
                    self._bench.owner,
                    observed=each.observed,
                    workers=() if each.id in deployments else each.workers,
                    status=status_of(each, now)[0],
                    due_at=now,
                    now=now,
                )

    async def _forever(self, work: Callable[[], Awaitable[None]], *, once: bool = False) -> None:
        failing = False
        while True:
            try:
                await work()
                failing = False
                if once:
                    return
            except Unavailable as error:
                if not failing:
                    log.warning("the reconciler waits", error=str(error))
                failing = True
                await self._clock.sleep(self._settings.poll_seconds)
            except Exception:
                log.exception("the reconciler stumbled and goes on", work=work.__name__)
                await self._clock.sleep(self._settings.poll_seconds)

    # Loops

    async def _take_over(self) -> None:
        """Look at everything that had workers when the last server ended: are they still there?"""
        async with self._store.begin() as tx:
            for deployment in await tx.deployments.all_live():
                if deployment.workers:
                    await tx.deployments.nudge(deployment.id, self._clock.now())
        self._stir.set()

    async def _work(self) -> None:
        """Claim what is due, give each its step, and wait for the next hint or due time."""
        self._stir.clear()
        free = self._settings.concurrency - len(self._steps)
        if free > 0:
            for deployment in await self._claim(free):
                task = asyncio.create_task(self._tend(deployment))
                self._steps[deployment.id] = task
                task.add_done_callback(self._done(deployment.id))
        waiting = min(self._due.values(), default=None)
        seconds = self._settings.poll_seconds
        if waiting is not None and free > 0:
            seconds = min(seconds, max(0.01, (waiting - self._clock.now()).total_seconds()))
        await self._wait(self._stir, seconds)

    async def _claim(self, limit: int) -> list[Deployment]:
        now = self._clock.now()
        self._due = {deployment_id: due for deployment_id, due in self._due.items() if due > now}
        if not (self._nudged or self._demand.untold or self._unfinished):
            due_at = (await self._store.pulse()).soonest_due
            if due_at is None or due_at > now:
                return []
        nudged, self._nudged = self._nudged, set()
        demanded = self._demand.take()
        unfinished, self._unfinished = self._unfinished, set()
        try:
            async with self._store.begin() as tx:
                for deployment_id in nudged:
                    await tx.deployments.nudge(deployment_id, now)
                for deployment_id in demanded:
                    await tx.deployments.demand(deployment_id, now)
                for deployment_id in unfinished:
                    # Gives the lease back: it ends now.
                    await tx.deployments.renew(deployment_id, self._bench.owner, now, 0)
                claimed = await tx.deployments.claim_due(self._bench.owner, now, self._settings.lease_seconds, limit)
        except Unavailable:
            self._nudged |= nudged
            self._demand.back(demanded)
            self._unfinished |= unfinished
            raise
        return claimed

    async def _tend(self, deployment: Deployment) -> None:
        began = self._clock.monotonic()
        try:
            result = await step(deployment, self._bench)
        except Unavailable as error:
            metrics.STEPS.labels("put_off").inc()
            # The store or the launcher's engine is away: with no pause it would be tried again at once.
            log.warning("a step is put off", deployment=deployment.id, error=str(error))
            await self._clock.sleep(self._settings.poll_seconds)
            self._unfinished.add(deployment.id)
            return
        except Exception:
            # Its lease runs out, and then it is tried again.
            metrics.STEPS.labels("failed").inc()
            log.exception("a step failed", deployment=deployment.id)
            return
        metrics.STEPS.labels("ok").inc()
        metrics.STEP_SECONDS.observe(self._clock.monotonic() - began)
        self._note(deployment.id, result)
        if result.changed:
            self._changed.set()

    def _note(self, deployment_id: str, result: Result) -> None:
        self._watch.drop(deployment_id)
        if result.due_at is not None:
            self._due[deployment_id] = result.due_at
        if result.deployment is not None and result.snapshot is not None:
            self._watch.add(result.deployment, result.snapshot)
            self._watched.set()

    def _done(self, deployment_id: str) -> Callable[[asyncio.Task[None]], None]:
        def done(task: asyncio.Task[None]) -> None:
            self._steps.pop(deployment_id, None)
            self._stepped.pop(deployment_id, asyncio.Event()).set()
            self._stir.set()

        return done

    async def _look(self) -> None:
        """Look at deployments between their steps."""
        self._watched.clear()
        for deployment_id in await self._watch.surprises():
            self.nudge(deployment_id)
        await self._wait(self._watched, max(_SHORTEST_LOOK_SECONDS, self._watch.seconds()))

    async def _refresh(self) -> None:
        """Tell that calls may go another way: once for many changes that come together."""
        await self._changed.wait()
        self._changed.clear()
        await self._on_change()
        await self._clock.sleep(_SHORTEST_LOOK_SECONDS)

    async def _end_orphans(self) -> None:
        """Stop workers of deployments that the store does not know."""
        # Listed first: whatever is listed was written down before it was started.
        for deployment_id in await self._launcher.deployments():
            try:
                async with self._store.read() as tx:
                    await tx.deployments.get(deployment_id, None)
            except NotFound:
                for orphan in await self._launcher.observe(deployment_id):
                    log.warning("orphan is stopped", worker=orphan.worker_id, deployment=deployment_id)
                    await self._launcher.stop(orphan.worker_id, self._bench.policy.grace_seconds)
        await self._clock.sleep(ORPHAN_SECONDS)

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        """Until ``event`` is set, but no longer than ``seconds``."""
        set_ = asyncio.ensure_future(event.wait())
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait((set_, timer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            set_.cancel()
            timer.cancel()
