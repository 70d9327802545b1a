"""The composition root: the only file that knows everyone.

It opens the parts in the order of their needs, starts their loops, serves, and at SIGTERM takes all of it
down again in the opposite order: no new calls, calls under way finished, workers stopped, usage written.
"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import structlog
import uvicorn
from filelock import FileLock, Timeout

from modelyard import catalog, logs
from modelyard.clock import Clock, SystemClock
from modelyard.control import builtins
from modelyard.control.autoscaler import Autoscaler
from modelyard.control.bootstrap import FirstStart, ensure_administrator
from modelyard.control.journal import Journal
from modelyard.control.keys import Keys
from modelyard.control.reconciler import Reconciler
from modelyard.control.routes import Routes
from modelyard.control.usage import UsageWriter
from modelyard.domain.load import GatewayLoad
from modelyard.errors import ConfigurationError
from modelyard.gateway.service import Gateway
from modelyard.http.app import create_app
from modelyard.http.inference.openapi import openapi_paths
from modelyard.http.inference.routes import inference_routes
from modelyard.http.parts import Parts
from modelyard.launchers.base import Launcher
from modelyard.launchers.local import LocalLauncher
from modelyard.settings import LauncherKind, Settings
from modelyard.store import Store

log = structlog.get_logger(__name__)

_WORKER_SECONDS = 10.0
"""How long a worker may take to stop when the server does."""


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    logs.configure(settings.logging)
    _check(settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with _only_server_of(settings.data_dir), contextlib.closing(_listening_socket(settings)) as listener:
        async with composed(settings) as parts:
            await _serve(settings, parts, listener)


@contextlib.asynccontextmanager
async def composed(settings: Settings) -> AsyncIterator[Parts]:
    """Everything that a server consists of, started; stopped again on the way out."""
    clock = SystemClock()
    built_in = catalog.load()
    async with contextlib.AsyncExitStack() as stack:
        store = await Store.open(settings.database)
        stack.push_async_callback(store.aclose)
        await store.migrate()
        _tell_first_start(await ensure_administrator(store, clock, settings))
        await builtins.sync(store, built_in, settings, clock)
        keys = Keys(store, clock, settings.security.key_cache_seconds)
        plane = await stack.enter_async_context(_data_plane(settings, store, clock))
        yield Parts(
            settings=settings,
            clock=clock,
            store=store,
            keys=keys,
            launcher=plane.launcher,
            reconciler=plane.reconciler,
            cards=built_in.cards,
            hot_routes=inference_routes(plane.gateway, keys, settings.gateway),
            hot_openapi=openapi_paths(),
        )


@dataclass(frozen=True, slots=True)
class _Plane:
    launcher: Launcher
    reconciler: Reconciler
    gateway: Gateway


@contextlib.asynccontextmanager
async def _data_plane(settings: Settings, store: Store, clock: Clock) -> AsyncIterator[_Plane]:
    """Gateway and reconciler with their loops. They need each other: one says what is in flight, the other
    starts what is called for."""
    async with contextlib.AsyncExitStack() as stack:
        journals = settings.data_dir / "usage"
        journal = Journal(journals, settings.usage.buffer_records) if settings.usage.journal else None
        usage = UsageWriter(store, clock, settings.usage, log_calls=settings.logging.calls, journal=journal)
        if journal is not None:
            stack.callback(journal.close)
            await usage.recover(journals)
        routes = Routes(store, clock, settings)
        launcher = _launcher(settings)
        stack.push_async_callback(launcher.aclose)
        seam = _Seam()
        autoscaler = Autoscaler(seam.load, routes.deployments, seam.nudge, clock, settings.autoscale)
        reconciler = seam.reconciler = Reconciler(
            store, launcher, clock, settings, load=autoscaler, on_change=routes.refresh
        )
        gateway = seam.gateway = Gateway(routes, usage, reconciler, clock, settings.gateway)
        await routes.refresh()
        await gateway.start()
        stack.push_async_callback(_stop, reconciler, gateway, usage, settings)
        for loop in (usage.run, routes.run, reconciler.run, autoscaler.run):
            await stack.enter_async_context(_running(loop))
        yield _Plane(launcher, reconciler, gateway)


class _Seam:
    """The autoscaler's view of gateway and reconciler, which are made after it."""

    gateway: Gateway
    reconciler: Reconciler

    def load(self) -> GatewayLoad:
        return self.gateway.load()

    def nudge(self, deployment_id: str) -> None:
        self.reconciler.nudge(deployment_id)


async def _stop(reconciler: Reconciler, gateway: Gateway, usage: UsageWriter, settings: Settings) -> None:
    await gateway.aclose()
    await reconciler.aclose()
    # No call is under way any more: workers have nothing left to finish.
    await reconciler.stop_all(min(_WORKER_SECONDS, settings.gateway.drain_seconds))
    await usage.flush()


@contextlib.asynccontextmanager
async def _running(loop: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    task = asyncio.create_task(loop())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _launcher(settings: Settings) -> Launcher:
    if settings.launcher is not LauncherKind.LOCAL:
        raise ConfigurationError(
            f"The launcher '{settings.launcher}' is not part of this version.", hint="Use MODELYARD_LAUNCHER=local."
        )
    return LocalLauncher(settings.data_dir, settings)


def _check(settings: Settings) -> None:
    if settings.gateways != 1:
        raise ConfigurationError("More than one gateway process is not part of this version.", hint="Use gateways=1.")


def _tell_first_start(first: FirstStart | None) -> None:
    """The key is shown this once; afterwards it is in its file alone."""
    if first is not None and not first.given:
        print(f"The administrator's key (also in {first.path}): {first.key}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _only_server_of(data_dir: Path) -> Iterator[None]:
    """Two servers on one data directory would both own its workers; the second is told so."""
    lock = FileLock(data_dir / "server.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ConfigurationError(
            f"Another modelyard server is using the data directory {data_dir}.",
            hint="Stop it, or give this one its own with --data-dir.",
        ) from error
    try:
        yield
    finally:
        lock.release()


def _listening_socket(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        why = os.strerror(error.errno) if error.errno else str(error)
        raise ConfigurationError(
            f"Cannot listen on {settings.host}:{settings.port}: {why}.",
            hint="Choose another port with --port (0 takes a free one).",
        ) from error
    return listener


def _settle_memory() -> None:
    """What was made until now stays until the end: the garbage collector need not look at it again and again, nor
    look as often at a server that makes many short-lived objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def _serve(settings: Settings, parts: Parts, listener: socket.socket) -> None:
    config = uvicorn.Config(
        create_app(parts),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(settings.gateway.drain_seconds) + 1,
    )
    server = _Server(config, parts.stopping)
    # Before anything is printed: who reads it may connect, or send a signal, at once.
    server.heed_signals()
    listener.listen(config.backlog)
    _settle_memory()
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"modelyard listens on http://{shown}:{port} (API documentation at /docs)", file=sys.stderr, flush=True)
    await server.serve(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn would give the signal that ended it to the process once more, which would end it before workers are
    stopped and usage is written."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Whoever waits for a deployment is told so now; the answer would not come before the end.
        self._stopping.set()
        super().handle_exit(sig, frame)

    def heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)

    def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # type: ignore[override]
        return contextlib.nullcontext()
