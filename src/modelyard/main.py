"""The composition root: the only file that knows everyone.

A server has two sides, and a process has one of them or both. The *calling side* is a gateway and the HTTP API; the
*controlling side* is the reconciler, which owns the workers. They meet in the store. Parts are opened in the order of
their needs, and taken down in the opposite order: no new calls, calls under way finished, workers stopped, usage
written.
"""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from modelyard import catalog, logs
from modelyard.clock import Clock, SystemClock
from modelyard.control import builtins
from modelyard.control.audit import AuditLog
from modelyard.control.call_log.bodies import BodyKeeper
from modelyard.control.deployments import Settling
from modelyard.control.gauges import CallGauges, DatabaseGauge, WorkerGauges
from modelyard.control.limits.limiter import Limiter
from modelyard.control.people.bootstrap import FirstStart, ensure_administrator
from modelyard.control.people.keys import Keys
from modelyard.control.people.last_used import LastUsed
from modelyard.control.reconciling.autoscaler import Autoscaler
from modelyard.control.reconciling.distant import Distant
from modelyard.control.reconciling.fleet import Fleet, Reporter, new_gateway_id
from modelyard.control.reconciling.reconciler import Reconciler
from modelyard.control.retention import Retention
from modelyard.control.routes import Routes
from modelyard.control.secret_env import renew_secret_env
from modelyard.control.telemetry.open_telemetry import Telemetry, is_wanted
from modelyard.control.usage.journal import Journal
from modelyard.control.usage.pricing import Pricing
from modelyard.control.usage.writer import UsageWriter
from modelyard.control.vault import Vault
from modelyard.control.vendors.credentials import renew_secrets
from modelyard.control.vendors.keys import VendorKeys
from modelyard.control.vendors.rests import VendorRests
from modelyard.domain.load import GatewayLoad
from modelyard.gateway.admission import Admission
from modelyard.gateway.places import Places, SharedPlaces
from modelyard.gateway.ports import Waker
from modelyard.gateway.service import Gateway
from modelyard.gateway.vendors.calling import VendorAccess
from modelyard.http.app import create_app
from modelyard.http.hot import hot_openapi, hot_routes
from modelyard.http.parts import Parts
from modelyard.http.server import address_of, listening_socket, serve
from modelyard.launchers.base import Launcher
from modelyard.launchers.choice import chosen
from modelyard.settings import Settings
from modelyard.store import Store

log = structlog.get_logger(__name__)

Loop = Callable[[], Coroutine[Any, Any, None]]

_WORKER_SECONDS = 10.0
"""How long a worker may take to stop when the server does."""

_CONTROLLER_POLL_SECONDS = 0.2
"""How often a controller of its own process looks for what the gateways' processes wrote."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What both sides stand on."""

    settings: Settings
    store: Store
    clock: Clock
    routes: Routes
    launcher: Launcher
    vault: Vault
    vendor_keys: VendorKeys
    pricing: Pricing


async def run(settings: Settings) -> None:
    """Be the whole server until SIGTERM or SIGINT. The caller holds the data directory."""
    logs.configure(settings.logging)
    with contextlib.closing(listening_socket(settings)) as listener:
        async with composed(settings) as parts:
            await serve(create_app(parts), settings, listener, parts.stopping, lambda: tell_address(listener))


async def run_gateway(settings: Settings, listener: socket.socket, on_listening: Callable[[], None]) -> None:
    """Be one of several gateways on one socket until SIGTERM."""
    logs.configure(settings.logging)
    async with contextlib.AsyncExitStack() as stack:
        ground = await stack.enter_async_context(_ground(settings))
        distant = Distant(ground.store, ground.clock, ground.routes.refresh)
        places = SharedPlaces(settings.data_dir / "run" / "places")
        parts = await stack.enter_async_context(_calling_side(ground, distant, distant, places, new_gateway_id()))
        await stack.enter_async_context(_running(distant.run))
        await serve(create_app(parts), settings, listener, parts.stopping, on_listening, (signal.SIGTERM,))


async def run_controller(settings: Settings, on_ready: Callable[[], None], stays: Callable[[], bool]) -> None:
    """Be the only controller of several gateways, until SIGUSR1, which says that the gateways are gone, or SIGTERM
    where ``stays`` does not hold: then the workers are left as they are."""
    logs.configure(settings.logging)
    stop, stop_workers = asyncio.Event(), True

    def heed(number: int) -> None:
        nonlocal stop_workers
        if number == signal.SIGUSR1 or not stays():
            stop_workers = number == signal.SIGUSR1
            stop.set()

    for number in (signal.SIGUSR1, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, heed, number)
    async with _ground(_swift(settings)) as ground:
        fleet = Fleet(ground.store, ground.routes, ground.clock)
        async with _controlling_side(ground, fleet) as reconciler:
            on_ready()
            await stop.wait()
            await _end_workers(reconciler, settings, stop_workers=stop_workers)


async def prepare(settings: Settings) -> None:
    """Bring the database up to date, with its administrator and the built-in models in it."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    clock = SystemClock()
    store = await Store.open(settings.database)
    try:
        await store.migrate()
        _tell_first_start(await ensure_administrator(store, clock, settings))
        vault = Vault.open(settings)
        await renew_secrets(store, vault)
        await renew_secret_env(store, vault)
        await builtins.sync(store, catalog.load(), settings, clock)
    finally:
        await store.aclose()


@contextlib.asynccontextmanager
async def composed(settings: Settings) -> AsyncIterator[Parts]:
    """Both sides in one process, started; stopped again on the way out."""
    await prepare(settings)
    async with contextlib.AsyncExitStack() as stack:
        ground = await stack.enter_async_context(_ground(settings))
        seam = _Seam()
        gateway_id = "" if settings.database.startswith("sqlite") else new_gateway_id()
        parts = await stack.enter_async_context(_calling_side(ground, seam, seam, None, gateway_id, seam))
        fleet = Fleet(ground.store, ground.routes, ground.clock, seam.load, gateway_id)
        reconciler = await stack.enter_async_context(_controlling_side(ground, fleet, listens=bool(gateway_id)))
        seam.reconciler = reconciler
        # The gateway ends before the workers do, and so before what was entered after it.
        stack.push_async_callback(_end_workers, reconciler, settings)
        stack.push_async_callback(seam.gateway.aclose)
        yield parts


class _Seam:
    """Two sides in one process need each other: one knows what is in flight, the other starts what is called for."""

    gateway: Gateway
    reconciler: Reconciler

    def load(self) -> GatewayLoad:
        return self.gateway.load()

    def wake(self, deployment_id: str) -> None:
        self.reconciler.wake(deployment_id)

    def nudge(self, deployment_id: str) -> None:
        self.reconciler.nudge(deployment_id)

    async def wait_settled(self, deployment_id: str, generation: int, timeout: float) -> Any:
        return await self.reconciler.wait_settled(deployment_id, generation, timeout)


@contextlib.asynccontextmanager
async def _ground(settings: Settings) -> AsyncIterator[Ground]:
    async with contextlib.AsyncExitStack() as stack:
        clock = SystemClock()
        store = await Store.open(settings.database)
        stack.push_async_callback(store.aclose)
        vault = Vault.open(settings)
        vendor_keys = VendorKeys(settings.vendors, vault, guarded=not settings.allows_private_addresses)
        routes = Routes(store, clock, settings, vendor_keys)
        launcher = await chosen(settings)
        stack.push_async_callback(launcher.aclose)
        await routes.refresh()
        pricing = Pricing(catalog.load().vendor_models, settings.cost, clock)
        yield Ground(settings, store, clock, routes, launcher, vault, vendor_keys, pricing)


@contextlib.asynccontextmanager
async def _calling_side(
    ground: Ground, waker: Waker, settling: Settling, places: Places | None, gateway_id: str, seam: _Seam | None = None
) -> AsyncIterator[Parts]:
    """A gateway with its loops, and the API; ``gateway_id`` is empty where nobody else needs to hear of its load."""
    settings, store, clock = ground.settings, ground.store, ground.clock
    async with contextlib.AsyncExitStack() as stack:
        usage = await stack.enter_async_context(_usage(ground))
        last_used = LastUsed(store)
        stack.push_async_callback(last_used.flush)
        keys = Keys(store, clock, settings.security.key_cache_seconds, last_used.note)
        limiter = Limiter(store, ground.routes, clock, settings.limits, gateway_id or new_gateway_id())
        bodies = await stack.enter_async_context(_bodies(ground))
        rests = VendorRests(store, clock)
        gateway = _gateway(ground, usage, waker, places, limiter, bodies, rests)
        if seam is not None:
            seam.gateway = gateway
        await gateway.start()
        stack.push_async_callback(gateway.aclose)
        await limiter.refresh()
        await rests.heed(await store.pulse())
        audit = AuditLog(store, clock, settings.audit.retention_days)
        loops = [usage.run, lambda: ground.routes.run(rests.heed), rests.run, last_used.run, audit.run]
        loops += [limiter.run, limiter.follow, limiter.housekeep, *_watching(ground, gateway, usage)]
        if gateway_id:
            reporter = Reporter(gateway_id, store, ground.routes, gateway, clock)
            await reporter.tell()
            stack.push_async_callback(reporter.leave)
            loops.append(reporter.run)
        for loop in loops:
            await stack.enter_async_context(_running(loop))
        yield Parts(
            settings=settings,
            clock=clock,
            store=store,
            keys=keys,
            launcher=ground.launcher,
            reconciler=settling,
            cards=catalog.load().cards,
            vault=ground.vault,
            vendors_changed=builtins.vendors_synced(catalog.load(), settings, clock),
            hot_routes=hot_routes(gateway, keys, settings.gateway),
            hot_openapi=hot_openapi(),
            on_routes=ground.routes.refresh,
        )


def _watching(ground: Ground, gateway: Gateway, usage: UsageWriter) -> list[Loop]:
    """What tells others how a process with a gateway fares."""
    store, clock = ground.store, ground.clock
    return [CallGauges(gateway, usage, clock).run, DatabaseGauge(store, clock).run]


def _gateway(
    ground: Ground,
    usage: UsageWriter,
    waker: Waker,
    places: Places | None,
    limiter: Limiter,
    bodies: BodyKeeper,
    rests: VendorRests,
) -> Gateway:
    settings = ground.settings
    vendors = VendorAccess(ground.vendor_keys, settings.vendors, settings.security.fetch_images, rests)
    traced = settings.otel.sampled if is_wanted(settings.otel) else None
    more = (places, vendors, _admission(ground, limiter), bodies, traced)
    return Gateway(ground.routes, usage, waker, ground.clock, settings.gateway, *more)


def _admission(ground: Ground, limiter: Limiter) -> Admission:
    settings = ground.settings
    assumed = settings.limits.assumed_response_tokens
    return Admission(limiter, ground.routes, ground.pricing.at_most, assumed, settings.gateway.queue_seconds)


@contextlib.asynccontextmanager
async def _usage(ground: Ground) -> AsyncIterator[UsageWriter]:
    settings = ground.settings
    journals = settings.data_dir / "usage"
    telemetry = Telemetry(settings.otel) if is_wanted(settings.otel) else None
    journal = Journal(journals, settings.usage.buffer_records) if settings.usage.journal else None
    usage = UsageWriter(
        ground.store,
        ground.clock,
        settings.usage,
        log_calls=settings.logging.calls,
        journal=journal,
        price=ground.pricing.priced,
        tell=(lambda _: None) if telemetry is None else telemetry.tell,
    )
    with contextlib.ExitStack() as stack:
        if journal is not None:
            stack.callback(journal.close)
            await usage.recover(journals)
        yield usage
        await usage.flush()
        if telemetry is not None:
            await asyncio.to_thread(telemetry.close)


@contextlib.asynccontextmanager
async def _bodies(ground: Ground) -> AsyncIterator[BodyKeeper]:
    """What keeps the content of calls, and ends it in time."""
    store, clock, settings = ground.store, ground.clock, ground.settings
    keeper = BodyKeeper(store, ground.routes, clock, settings.call_log.queue_bytes)
    retention = Retention(store, clock, settings.usage.keep_days)
    await keeper.refresh()
    async with _running(keeper.run), _running(keeper.follow), _running(retention.run):
        yield keeper
    await keeper.last()


@contextlib.asynccontextmanager
async def _controlling_side(ground: Ground, fleet: Fleet, *, listens: bool = True) -> AsyncIterator[Reconciler]:
    """The reconciler with its loops; ``listens``: there are gateways in other processes."""
    settings, routes, clock = ground.settings, ground.routes, ground.clock
    async with contextlib.AsyncExitStack() as stack:
        autoscaler = Autoscaler(
            fleet, routes.deployments, lambda each: reconciler.nudge(each), clock, settings.autoscale
        )
        reconciler = Reconciler(
            ground.store,
            ground.launcher,
            clock,
            settings,
            load=autoscaler,
            vault=ground.vault,
            on_change=routes.refresh,
        )
        if listens:
            await fleet.listen()
        gauges = WorkerGauges(routes.deployments, clock)
        for loop in (reconciler.run, autoscaler.run, gauges.run, *((fleet.run, routes.run) if listens else ())):
            await stack.enter_async_context(_running(loop))
        yield reconciler


async def _end_workers(reconciler: Reconciler, settings: Settings, *, stop_workers: bool = True) -> None:
    await reconciler.aclose()
    if stop_workers:
        # No call is under way any more: workers have nothing left to finish.
        await reconciler.stop_all(min(_WORKER_SECONDS, settings.gateway.drain_seconds))


@contextlib.asynccontextmanager
async def _running(loop: Loop) -> AsyncIterator[None]:
    task = asyncio.create_task(loop())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _swift(settings: Settings) -> Settings:
    poll = min(settings.reconciler.poll_seconds, _CONTROLLER_POLL_SECONDS)
    return settings.model_copy(update={"reconciler": settings.reconciler.model_copy(update={"poll_seconds": poll})})


def tell_address(listener: socket.socket) -> None:
    text = f"modelyard listens on {address_of(listener)} (API documentation at /docs)"
    print(text, file=sys.stderr, flush=True)


def _tell_first_start(first: FirstStart | None) -> None:
    """The key is shown this once; afterwards it is in its file alone."""
    if first is not None and not first.given:
        print(f"The administrator's key (also in {first.path}): {first.key}", file=sys.stderr, flush=True)
