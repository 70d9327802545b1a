"""A yard for the reconciler: a real store, real worker processes, real time, small settings."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from modelyard.clock import SystemClock
from modelyard.control.reconciling.reconciler import Reconciler
from modelyard.control.rolling import Origin, Rolling, record
from modelyard.control.routes import Routes
from modelyard.control.vault import Vault
from modelyard.domain.accounts import Account, IdentityType
from modelyard.domain.deployments import Deployment, DeploymentStatus, Phase, StatusDetail, Target
from modelyard.domain.lifecycle import status_of
from modelyard.domain.models import Model
from modelyard.domain.parameters import Parameter, ParameterSchema, ParameterType
from modelyard.domain.revisions import Author
from modelyard.domain.routes import Route
from modelyard.domain.snapshots import revision_of, snapshot_of
from modelyard.domain.templates import LOCAL_REGISTRY, BundleConfig, EndpointType, ModelType, Template
from modelyard.domain.templates import EndpointProtocol as Protocol
from modelyard.errors import NotFound
from modelyard.launchers.local import LocalLauncher
from modelyard.settings import GatewaySettings, ReconcilerSettings, Settings
from modelyard.store import Store, Transaction
from modelyard.testing.workers import COMMAND

ACCOUNT = str(uuid4())
USER = str(uuid4())
SECONDS = 30.0
"""Longer than anything here takes on a slow machine; nothing asserts how fast it was."""

PARAMETERS = ("DELAY", "SLOW", "DEAF", "DIE_AFTER", "STUBBORN", "CHILD", "SAY", "FAIL", "VERSION")


class Load:
    """What a gateway would say is in flight."""

    def __init__(self) -> None:
        self.busy: dict[str, int] = {}

    def in_flight(self, worker_id: str) -> int:
        return self.busy.get(worker_id, 0)

    def desired(self, deployment: Deployment) -> int | None:
        return None


@dataclass
class Yard:
    """One server's reconciling half, and what a test does to it."""

    settings: Settings
    store: Store
    load: Load = field(default_factory=Load)
    clock: SystemClock = field(default_factory=SystemClock)

    def launcher(self) -> LocalLauncher:
        return LocalLauncher(self.settings.data_dir, self.settings)

    @contextlib.asynccontextmanager
    async def server(self) -> AsyncIterator[Reconciler]:
        """A reconciler at work. Leaving it is as sudden as SIGKILL as far as workers are concerned."""
        self.routes = Routes(self.store, self.clock, self.settings)
        launcher = self.launcher()
        reconciler = Reconciler(
            self.store,
            launcher,
            self.clock,
            self.settings,
            load=self.load,
            vault=Vault.open(self.settings),
            on_change=self.routes.refresh,
        )
        running = asyncio.create_task(reconciler.run())
        try:
            yield reconciler
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await reconciler.aclose()
            await launcher.aclose()

    async def deploy(
        self,
        *,
        workers: int = 1,
        command: tuple[str, ...] = COMMAND,
        readiness: int = 20,
        parameters: Mapping[str, str] | None = None,
        account: str = ACCOUNT,
        **bundle: object,
    ) -> Deployment:
        now = self.clock.now()
        signature = {"account_id": account, "created_at": now, "created_by_user_id": USER}
        template = Template(
            id=str(uuid4()),
            **signature,
            created_by_identity_type=IdentityType.USER,
            name=f"template-{uuid4()}",
            endpoint_type=EndpointType.SYNC,
            model_type=ModelType.EMBEDDING,
            endpoint_protocol=Protocol.SGP,
            bundle=BundleConfig(
                registry=bundle.pop("registry", LOCAL_REGISTRY),
                image=bundle.pop("image", "fake"),
                tag="latest",
                command=command,
                readiness_initial_delay_seconds=readiness,
                **bundle,
            ),
            creation_schema=ParameterSchema(
                tuple(Parameter(name, ParameterType.STR, "", False) for name in PARAMETERS)
            ),
        )
        model = Model(
            id=str(uuid4()),
            **signature,
            created_by_identity_type=IdentityType.USER,
            name=f"model-{uuid4()}",
            model_type=ModelType.EMBEDDING,
            model_template_id=template.id,
        )
        deployment = Deployment(
            id=str(uuid4()),
            **signature,
            created_by_identity_type=IdentityType.USER,
            name="mine",
            model_id=model.id,
            model_creation_parameters=dict(parameters or {}),
            target=Target(
                min_workers=workers,
                max_workers=max(1, workers),
                per_worker=4,
                revision=revision_of(snapshot_of(template, model, parameters or {})),
            ),
        )
        async with self.store.begin() as tx:
            await tx.templates.add(template)
            await tx.models.add(model)
            await tx.deployments.add(deployment)
            await self._record(tx, deployment, template, model)
        return deployment

    async def _record(self, tx: Transaction, deployment: Deployment, template: Template, model: Model) -> None:
        rolling = Rolling("changed", Author(USER, IdentityType.USER), self.clock.now())
        await record(tx, deployment, Origin(model, template).snapshot(deployment), rolling)

    async def change(self, deployment: Deployment, *, deleted: bool = False, **changes: object) -> Deployment:
        """As the API does it: new parameters make a new revision, other numbers do not."""
        async with self.store.begin() as tx:
            now = await tx.deployments.get(deployment.id, None)
            model = await tx.models.get(now.model_id, None)
            template = await tx.templates.get(model.model_template_id, None)
            parameters = changes.pop("parameters", now.model_creation_parameters)
            target = replace(
                now.target,
                generation=now.target.generation + 1,
                revision=revision_of(snapshot_of(template, model, parameters)),
                deleted=deleted,
                **changes,
            )
            changed = replace(now, target=target, model_creation_parameters=parameters)
            await tx.deployments.set_target(changed)
            if changed.target.revision != now.target.revision:
                await self._record(tx, changed, template, model)
        return changed

    async def now(self, deployment: Deployment) -> Deployment:
        async with self.store.read() as tx:
            return await tx.deployments.get(deployment.id, None)

    async def status(self, deployment: Deployment) -> tuple[DeploymentStatus, StatusDetail]:
        return status_of(await self.now(deployment), self.clock.now())

    async def ready(self, deployment: Deployment) -> list[str]:
        there = await self.now(deployment)
        return [row.id for row in there.workers if row.phase is Phase.READY and row.revision == there.revision]

    async def is_gone(self, deployment: Deployment) -> bool:
        try:
            await self.now(deployment)
        except NotFound:
            return True
        return False

    def route(self, deployment: Deployment) -> Route | None:
        return self.routes.snapshot().by_id(deployment.id)

    def processes(self) -> dict[str, psutil.Process]:
        """Every live worker process of this yard, by worker id."""
        found = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                env = process.environ()
                mine = env.get("MODELYARD_WORKER_STATUS", "").startswith(str(self.settings.data_dir))
                if mine and process.status() != psutil.STATUS_ZOMBIE:
                    found[env["MODELYARD_WORKER_ID"]] = process
        return found


async def until(condition: Callable[[], Awaitable[object]], what: str = "") -> None:
    deadline = time.monotonic() + SECONDS
    while not await condition():
        assert time.monotonic() < deadline, f"waited in vain {what}"
        await asyncio.sleep(0.02)


@pytest.fixture(name="until")
def _until() -> Callable[..., Awaitable[None]]:
    return until


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """PostgreSQL for tests parametrised with ``on_both``; else the default."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield None
        return
    with request.getfixturevalue("postgres").lent(request.getfixturevalue("migrated_postgres")) as lent:
        yield lent


@pytest.fixture
async def yard(tmp_path: Path, database: str | None) -> AsyncIterator[Yard]:
    settings = Settings(
        data_dir=tmp_path,
        database_url=database,
        reconciler=ReconcilerSettings(
            poll_seconds=0.1, backoff_seconds=0.2, backoff_max_seconds=1, probe_seconds=1, probe_failures=3
        ),
        gateway=GatewaySettings(drain_seconds=5),
    )
    store = await Store.open(settings.database)
    await store.migrate()
    async with store.begin() as tx:
        await tx.accounts.add_account(Account(ACCOUNT, "test", SystemClock().now()))
    yard = Yard(settings, store)
    try:
        yield yard
    finally:
        launcher = yard.launcher()
        for deployment_id in await launcher.deployments():
            for seen in await launcher.observe(deployment_id):
                await launcher.stop(seen.worker_id, 0)
        leaked = yard.processes()
        for process in leaked.values():
            process.kill()
        await store.aclose()
        assert not leaked
