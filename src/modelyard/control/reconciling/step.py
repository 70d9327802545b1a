"""One step for one deployment: observe, plan, write down, act, apply.

The caller holds the deployment's lease. Nothing is done that is not written down first, and nothing waits for
a worker inside a transaction, so a crash between any two lines is harmless: the next step finds workers that
were meant to be (and starts them under the same ids) or workers that were not (and stops them).
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol
from uuid import uuid4

import structlog
from pydantic import SecretStr

from modelyard.clock import Clock
from modelyard.control.reconciling.probe import Prober
from modelyard.control.secret_env import opened, secrets_of, without
from modelyard.control.vault import Vault
from modelyard.domain.deployments import Deployment, DeploymentStatus, Observation, Phase
from modelyard.domain.lifecycle import status_of
from modelyard.domain.plans import Plan, Policy, Stop, with_launch_failure
from modelyard.domain.revisions import Author, Revision
from modelyard.domain.rollout import plan
from modelyard.domain.room import room_for
from modelyard.domain.snapshots import Snapshot, snapshot_of, with_readiness_of
from modelyard.domain.specs import FILE_ROOTS, worker_spec
from modelyard.errors import LaunchError
from modelyard.launchers.base import Launcher
from modelyard.settings import Settings
from modelyard.store import Store

log = structlog.get_logger(__name__)


class LoadSource(Protocol):
    """What the gateway knows of load."""

    def in_flight(self, worker_id: str) -> int:
        """Calls under way on a worker."""
        ...

    def desired(self, deployment: Deployment) -> int | None:
        """How many workers load asks for; None while nobody has looked."""
        ...


class Stops:
    """Workers on their way out. Stopping takes as long as a worker's grace; no step waits for it."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._running: dict[tuple[str, bool], asyncio.Task[None]] = {}

    def begin(self, stop: Stop) -> None:
        key = (stop.worker_id, stop.forget)
        if key not in self._running:
            task = asyncio.create_task(self._stop(stop))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))

    async def finish(self, seconds: float) -> None:
        """Let those under way end, but wait no longer than ``seconds``."""
        if tasks := list(self._running.values()):
            await asyncio.wait(tasks, timeout=seconds)
        for task in self._running.values():
            task.cancel()

    async def _stop(self, stop: Stop) -> None:
        try:
            await self._launcher.stop(stop.worker_id, stop.grace, forget=stop.forget)
        except Exception:  # a launcher may fail in any way; the next step tries again
            log.exception("worker could not be stopped", worker=stop.worker_id)


@dataclass(frozen=True, slots=True)
class Bench:
    """What a step works with."""

    store: Store
    launcher: Launcher
    prober: Prober
    stops: Stops
    clock: Clock
    load: LoadSource
    policy: Policy
    owner: str
    lease_seconds: float
    worker_env: Mapping[str, str]
    vault: Vault | None
    new_id: Callable[[], str] = lambda: str(uuid4())


@dataclass(frozen=True, slots=True)
class Result:
    """What a step led to. ``deployment`` is None where it is gone, or the lease was lost on the way."""

    deployment: Deployment | None
    snapshot: Snapshot | None = None
    """Of the revision that is to serve."""
    due_at: datetime | None = None
    changed: bool = False
    """Whether calls may go another way now."""


async def step(deployment: Deployment, bench: Bench) -> Result:
    if deployment.is_vendors:
        return await step_of_vendors(deployment, bench)
    snapshots = await _snapshots(deployment, bench)
    seen = _quiet(await bench.launcher.observe(deployment.id), snapshots, bench.vault)
    judged = await bench.prober.judge(deployment, snapshots[deployment.revision], seen)
    next_ = plan(
        deployment,
        judged,
        bench.clock.now(),
        bench.policy,
        new_id=bench.new_id,
        in_flight=bench.load.in_flight,
        desired=bench.load.desired(deployment),
        room=await _room(deployment, snapshots[deployment.revision], bench.launcher),
        known=snapshots.keys(),
    )
    if (next_.start or next_.stop) and not await _write_down(deployment, next_, snapshots, bench):
        return Result(None)
    next_ = await _start(next_, snapshots, bench)
    for stop in next_.stop:
        bench.stops.begin(stop)
    return await _apply(deployment, next_, snapshots, bench)


async def step_of_vendors(deployment: Deployment, bench: Bench) -> Result:
    """There is nothing to start or stop: what is wanted is there, or gone, once it is written down."""
    now = bench.clock.now()
    target = deployment.target
    observed = replace(deployment.observed, generation=target.generation, ready_revision=target.revision)
    due_at = now + timedelta(days=1)
    async with bench.store.begin() as tx:
        if target.deleted:
            if await tx.deployments.renew(deployment.id, bench.owner, now, bench.lease_seconds):
                await tx.deployments.remove(deployment.id)
            return Result(None, changed=True)
        await tx.deployments.apply(
            deployment.id,
            bench.owner,
            observed=observed,
            workers=(),
            status=status_of(deployment, now)[0],
            due_at=due_at,
            now=now,
        )
    return Result(replace(deployment, observed=observed), due_at=due_at, changed=observed != deployment.observed)


async def _snapshots(deployment: Deployment, bench: Bench) -> dict[str, Snapshot]:
    """What workers of the target's revision, and of the last good one, are made of."""
    target, good = deployment.target.revision, deployment.observed.ready_revision
    wanted = {target} if good is None else {target, good}
    async with bench.store.read() as tx:
        model = await tx.models.get(deployment.model_id, None)
        assert model.model_template_id is not None, "models without a template have no workers"
        template = await tx.templates.get(model.model_template_id, None)
        kept = await tx.revisions.snapshots([(deployment.id, revision) for revision in wanted])
    found = {revision: snapshot for (_, revision), snapshot in kept.items()}
    if target not in found:
        # It is older than revisions are kept for.
        found[target] = snapshot_of(
            template, model, deployment.model_creation_parameters, deployment.vendor_configuration
        )
        async with bench.store.begin() as tx:
            await tx.revisions.add_first(_first(deployment, found[target]))
    return {revision: with_readiness_of(snapshot, template) for revision, snapshot in found.items()}


def _quiet(
    seen: Sequence[Observation], snapshots: Mapping[str, Snapshot], vault: Vault | None
) -> Sequence[Observation]:
    """What workers say, without the secrets that they were given."""
    told = any(each.detail for each in seen)
    secrets = secrets_of((snapshot.bundle for snapshot in snapshots.values()), vault) if told else set()
    if not secrets:
        return seen
    return [replace(each, detail=without(each.detail, secrets)) if each.detail else each for each in seen]


def _first(deployment: Deployment, snapshot: Snapshot) -> Revision:
    author = Author(deployment.created_by_user_id, deployment.created_by_identity_type)
    revision = deployment.target.revision
    return Revision(deployment.id, 1, revision, deployment.created_at, author, "created", snapshot)


async def _room(deployment: Deployment, snapshot: Snapshot, launcher: Launcher) -> int | None:
    """`plan`'s; asked for only while workers of another revision are there."""
    if all(row.revision == deployment.revision for row in deployment.workers):
        return None
    capacity = await launcher.capacity()
    return room_for(snapshot.resources, capacity.total, capacity.reserved)


async def _write_down(deployment: Deployment, next_: Plan, snapshots: Mapping[str, Snapshot], bench: Bench) -> bool:
    async with bench.store.begin() as tx:
        if not await tx.deployments.renew(deployment.id, bench.owner, bench.clock.now(), bench.lease_seconds):
            return False
        for row in next_.workers:
            if row.id in next_.start:
                gpus = snapshots[row.revision].resources.gpus or 0
                await tx.worker_time.begin(row, deployment.account_id, deployment.model_id, gpus)
        return await tx.deployments.write_workers(deployment.id, bench.owner, next_.workers)


async def _start(next_: Plan, snapshots: Mapping[str, Snapshot], bench: Bench) -> Plan:
    rows = {row.id: row for row in next_.workers}
    for worker_id in next_.start:
        row = rows[worker_id]
        try:
            secrets = opened(snapshots[row.revision].bundle, bench.vault)
            await bench.launcher.start(worker_spec(snapshots[row.revision], row, env=bench.worker_env, secrets=secrets))
        except LaunchError as error:
            log.warning("worker could not be started", deployment=row.deployment_id, worker=row.id, error=str(error))
            next_ = with_launch_failure(next_, row.id, str(error), bench.clock.now(), bench.policy)
    return next_


async def _apply(deployment: Deployment, next_: Plan, snapshots: Mapping[str, Snapshot], bench: Bench) -> Result:
    now = bench.clock.now()
    after = replace(deployment, observed=next_.observed, workers=next_.workers)
    async with bench.store.begin() as tx:
        if next_.remove:
            if not await tx.deployments.renew(deployment.id, bench.owner, now, bench.lease_seconds):
                return Result(None)
            await tx.deployments.remove(deployment.id)
        elif not await tx.deployments.apply(
            deployment.id,
            bench.owner,
            observed=next_.observed,
            workers=next_.workers,
            status=status_of(after, now)[0],
            due_at=next_.due_at,
            now=now,
        ):
            return Result(None)
        await tx.worker_time.end(_gone(deployment, next_), now)
        ready = next_.observed.ready_revision
        if ready is not None and ready != deployment.observed.ready_revision and not next_.remove:
            await tx.revisions.proven(deployment.id, ready, now)
        for event in next_.events:
            await tx.deployments.add_event(event)
    _tell(deployment, after, next_, now)
    bench.prober.forget({row.id for row in deployment.workers} - {row.id for row in next_.workers})
    changed = next_.remove or _callable(deployment, now) != _callable(after, now)
    return Result(None if next_.remove else after, snapshots[after.revision], next_.due_at, changed)


def _gone(deployment: Deployment, next_: Plan) -> list[str]:
    """Workers that were there before this step, or should have been, and are not any more."""
    there = {row.id for row in next_.workers if row.phase is not Phase.EXITED}
    return [row.id for row in (*deployment.workers, *next_.workers) if row.id not in there]


def _callable(deployment: Deployment, now: datetime) -> tuple[object, ...]:
    status, detail = status_of(deployment, now)
    return status, detail.reason, [(row.id, row.phase, row.address) for row in deployment.workers]


def _tell(before: Deployment, after: Deployment, next_: Plan, now: datetime) -> None:
    for event in next_.events:
        log.info(event.message, deployment=event.deployment_id, event_kind=event.kind)
    (old, _), (new, detail) = status_of(before, now), status_of(after, now)
    if new != old:
        tell = log.warning if new is DeploymentStatus.UPDATE_FAILED else log.info
        tell("status changed", deployment=after.id, name=after.name, status=new.value, reason=detail.reason)


def policy_of(settings: Settings) -> Policy:
    reconciler = settings.reconciler
    return Policy(
        backoff_seconds=reconciler.backoff_seconds,
        backoff_max_seconds=reconciler.backoff_max_seconds,
        drain_seconds=settings.gateway.drain_seconds,
        rollback_after_failures=reconciler.rollback_after_failures,
        idle_seconds=settings.autoscale.idle_seconds,
    )


def worker_environment(settings: Settings) -> dict[str, str]:
    """What bundles that ship with modelyard are told by the server: where weights are kept, and how to get them."""
    told = {"MODELYARD_WEIGHTS_DIR": str(settings.data_dir.absolute() / "weights")}
    if settings.file_roots is not None:
        told[FILE_ROOTS] = json.dumps([str(root.absolute()) for root in settings.file_roots])
    for name in sorted(type(settings.weights).model_fields.keys() - {"file_roots"}):
        value = getattr(settings.weights, name)
        if value is not None:
            text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            told[f"MODELYARD_WEIGHTS__{name.upper()}"] = text
    return told
