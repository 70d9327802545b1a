"""The real HTTP side on a real SQLite store and a real port; only workers are pretended."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import uvicorn
from pydantic import SecretStr

from modelyard import catalog
from modelyard.clock import SystemClock
from modelyard.control import builtins
from modelyard.control.people.bootstrap import ensure_administrator
from modelyard.control.people.keys import Keys
from modelyard.control.vault import Vault
from modelyard.domain.deployments import Deployment, DeploymentStatus, Observation, Phase, Resources, Worker, WorkerSpec
from modelyard.domain.lifecycle import status_of
from modelyard.errors import NotFound
from modelyard.http.app import create_app
from modelyard.http.parts import Parts
from modelyard.launchers.base import Capacity
from modelyard.settings import GatewaySettings, Settings
from modelyard.store import Store

KEY = "my_test_administrator-key"


class PretendLauncher:
    """Workers whose logs say what they were asked; nothing runs."""

    async def start(self, spec: WorkerSpec) -> None: ...

    async def observe(self, deployment_id: str) -> Sequence[Observation]:
        return []

    async def deployments(self) -> Sequence[str]:
        return []

    async def stop(self, worker_id: str, grace: float, *, forget: bool = True) -> None: ...

    async def logs(self, worker_id: str, lines: int = 200) -> Sequence[str]:
        return [f"line {number} of {worker_id}" for number in range(500)][-lines:]

    async def capacity(self) -> Capacity:
        return Capacity(Resources(cpus=4, memory=16 * 1024**3), Resources())

    async def aclose(self) -> None: ...


@dataclass
class PretendReconciler:
    """Settles a deployment the moment it is nudged: READY, or failed where its parameters say so. A deployment
    whose metadata says ``{"stay": true}`` is left alone until `release`."""

    store: Store
    held: set[str] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def nudge(self, deployment_id: str) -> None:
        task = asyncio.get_running_loop().create_task(self._step(deployment_id))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def release(self, deployment_id: str) -> None:
        self.held.add(deployment_id)
        await self._step(deployment_id)

    async def _step(self, deployment_id: str) -> None:
        async with self.store.begin() as tx:
            try:
                deployment = await tx.deployments.get(deployment_id, None)
            except NotFound:
                return
            if (deployment.deployment_metadata or {}).get("stay") and deployment_id not in self.held:
                return
            if deployment.target.deleted:
                await tx.deployments.remove(deployment_id)
                return
            now = SystemClock().now()
            for each in await tx.deployments.claim_due("pretend", now, 60, 1000):
                worker, observed = _settled(each)
                after = replace(each, observed=observed, workers=(worker,))
                await tx.deployments.apply(
                    each.id,
                    "pretend",
                    observed=observed,
                    workers=after.workers,
                    status=status_of(after, now)[0],
                    due_at=now.replace(year=9000),
                    now=now,
                )
                if observed.ready_revision is not None:
                    await tx.revisions.proven(each.id, observed.ready_revision, now)

    async def wait_settled(self, deployment_id: str, generation: int, timeout: float) -> Deployment:
        async with asyncio.timeout(timeout):
            while True:
                async with self.store.read() as tx:
                    deployment = await tx.deployments.get(deployment_id, None)
                status = status_of(deployment, SystemClock().now())[0]
                settled = status in (DeploymentStatus.READY, DeploymentStatus.UPDATE_FAILED)
                if deployment.observed.generation >= generation and settled:
                    return deployment
                await asyncio.sleep(0.01)


def _settled(deployment: Deployment) -> tuple[Worker, Any]:
    target, now = deployment.target, SystemClock().now()
    fails = deployment.model_creation_parameters.get("fake_fail") == "load"
    worker = Worker(
        id=str(uuid4()),
        deployment_id=deployment.id,
        revision=target.revision,
        created_at=now,
        phase=Phase.EXITED if fails else Phase.READY,
        address=None if fails else "http://127.0.0.1:9",
        ready_at=None if fails else now,
    )
    observed = replace(
        deployment.observed,
        generation=target.generation,
        failures=1 if fails else 0,
        failed_at=now if fails else None,
        reason="the engine said: no such file" if fails else None,
        ready_revision=deployment.observed.ready_revision if fails else target.revision,
    )
    return worker, observed


@dataclass(frozen=True)
class Running:
    url: str
    loop: asyncio.AbstractEventLoop
    parts: Parts
    reconciler: PretendReconciler

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine where the server runs."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)


async def compose(folder: Path, **more: Any) -> tuple[Parts, PretendReconciler]:
    settings = Settings(
        data_dir=folder,
        database_url=SecretStr(f"sqlite:///{folder / 'modelyard.db'}"),
        bootstrap_api_key=SecretStr(KEY),
        gateway=GatewaySettings(total_seconds=20),
        **more,
    )
    clock = SystemClock()
    store = await Store.open(settings.database)
    await store.migrate()
    await ensure_administrator(store, clock, settings)
    loaded = catalog.load()
    await builtins.sync(store, loaded, settings, clock)
    reconciler = PretendReconciler(store)
    parts = Parts(
        settings=settings,
        clock=clock,
        store=store,
        keys=Keys(store, clock, settings.security.key_cache_seconds),
        launcher=PretendLauncher(),
        reconciler=reconciler,
        cards=loaded.cards,
        vault=Vault.open(settings),
        vendors_changed=builtins.vendors_synced(loaded, settings, clock),
    )
    return parts, reconciler


class serving:
    """A context: the server runs inside it."""

    def __init__(self, folder: Path, **more: Any) -> None:
        """``more``: settings."""
        self._folder = folder
        self._more = more
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Running:
        self._thread.start()
        parts, reconciler = asyncio.run_coroutine_threadsafe(compose(self._folder, **self._more), self._loop).result(60)
        self._parts = parts
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(create_app(parts), log_level="warning", lifespan="off")
        self._uvicorn = uvicorn.Server(config)
        self._serving = asyncio.run_coroutine_threadsafe(self._uvicorn.serve([listener]), self._loop)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        return Running(url, self._loop, parts, reconciler)

    def __exit__(self, *_: object) -> None:
        self._uvicorn.should_exit = True
        self._serving.result(30)
        asyncio.run_coroutine_threadsafe(self._parts.store.aclose(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
