"""What the API does to deployments. It only ever writes what is wanted; the reconciler makes it so."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol
from uuid import uuid4

import structlog

from modelyard.clock import Clock
from modelyard.control.again import until_unmet
from modelyard.control.deployment_checks import check_deployment, completed_configuration, require_launchable
from modelyard.control.drafts import DeploymentDraft
from modelyard.control.fitting import check_fits, oversubscribed
from modelyard.control.gone import wait_until_gone
from modelyard.control.idempotency import Attempt, create_once
from modelyard.control.rolling import Origin, Rolling, record
from modelyard.control.scope import Scope, refuse_built_in, unknown_account
from modelyard.control.secret_env import secrets_of, without
from modelyard.control.server_checks import refuse_backend_in_use
from modelyard.control.vault import Vault
from modelyard.control.vendors.deployments import add_vendor_deployment, change_vendor_deployment
from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, Right
from modelyard.domain.cards import EngineCard
from modelyard.domain.deployments import Deployment, DeploymentStatus, Event, StatusDetail, Target
from modelyard.domain.lifecycle import status_of
from modelyard.domain.models import Model
from modelyard.domain.snapshots import Snapshot, revision_of, snapshot_of
from modelyard.domain.specs import scaling
from modelyard.domain.templates import Template
from modelyard.domain.vendor_models import is_vendors
from modelyard.errors import Conflict, Forbidden, InvalidRequest, NotFound, UpstreamTimeout
from modelyard.launchers.base import Capacity, Launcher
from modelyard.settings import Settings
from modelyard.store import Store, Transaction
from modelyard.store.paging import Page, PageQuery

log = structlog.get_logger(__name__)

GONE_SECONDS = 15
"""How long deleting a deployment waits for its workers to be gone before it answers anyway."""


class Settling(Protocol):
    """What is asked of the reconciler."""

    def nudge(self, deployment_id: str) -> None: ...

    async def wait_settled(self, deployment_id: str, generation: int, timeout: float) -> Deployment:
        """The deployment once that generation is READY or UPDATE_FAILED; `TimeoutError` when it takes longer."""
        ...


@dataclass(frozen=True, slots=True)
class WorkerLog:
    """The last lines of one worker, oldest first."""

    worker_id: str
    phase: str
    lines: Sequence[str]


class Deployments:
    """Deployments, as their owners see them."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        settings: Settings,
        cards: Mapping[str, EngineCard],
        reconciler: Settling,
        launcher: Launcher,
        vault: Vault,
    ) -> None:
        self._vault = vault
        self._store = store
        self._clock = clock
        self._settings = settings
        self._cards = cards
        self._reconciler = reconciler
        self._launcher = launcher

    async def create(
        self, scope: Scope, model_id: str, account_id: str | None, draft: DeploymentDraft, attempt: Attempt
    ) -> Deployment:
        """Write down what is wanted, all in one transaction; the workers come later."""
        now = self._clock.now()
        capacity = await self._launcher.capacity()

        async def make(tx: Transaction) -> Deployment:
            model = await tx.models.get(model_id, scope.readable)
            account = _account_of(scope, model, account_id)
            if is_vendors(model):
                return await add_vendor_deployment(tx, scope, account, model, draft, now)
            template = await self._template(tx, model)
            require_launchable(template, self._settings)
            whole = self._checked(template, model, draft)
            snapshot = _fitting(_snapshot(template, model, whole), whole, capacity)
            deployment = Deployment(
                id=str(uuid4()),
                **scope.signature(account, now),
                name=draft.name,
                model_id=model.id,
                target=_target(template, whole, revision_of(snapshot)),
                vendor_configuration=whole.vendor_configuration,
                model_creation_parameters=whole.model_creation_parameters,
                deployment_metadata=whole.deployment_metadata,
            )
            await tx.deployments.add(deployment)
            await record(tx, deployment, snapshot, Rolling("created", scope.author, now))
            await tx.deployments.add_event(
                Event(
                    deployment.id, now, "created", f"Made by {scope.caller.identity_type} {scope.caller.identity_id}."
                )
            )
            await _warn(tx, deployment, snapshot, capacity, now)
            return deployment

        async def again(tx: Transaction, deployment_id: str) -> Deployment:
            return await tx.deployments.get(deployment_id, scope.readable)

        deployment = await create_once(self._store, attempt, now, make=make, again=again)
        self._reconciler.nudge(deployment.id)
        return deployment

    async def get(self, scope: Scope, deployment_id: str, model_id: str | None = None) -> Deployment:
        """``model_id``: the model that it must be of, where the path names one."""
        async with self._store.read() as tx:
            return await found_deployment(tx, scope, deployment_id, model_id)

    async def page(self, query: PageQuery) -> Page[Deployment]:
        async with self._store.read() as tx:
            return await tx.deployments.page(query)

    async def page_of_model(self, scope: Scope, model_id: str, query: PageQuery) -> Page[Deployment]:
        """As `page`, of one model, which must be visible."""
        async with self._store.read() as tx:
            model = await tx.models.get(model_id, scope.readable)
            return await tx.deployments.page(replace(query, where={**query.where, "model_id": model.id}))

    async def change(
        self, scope: Scope, deployment_id: str, model_id: str, draft: Callable[[Deployment], DeploymentDraft]
    ) -> Deployment:
        """Put ``draft(deployment)`` in its place. Only what concerns workers makes a new generation."""
        capacity = await self._launcher.capacity()
        changed = await until_unmet(lambda: self._change(scope, deployment_id, model_id, draft, capacity))
        self._reconciler.nudge(changed.id)
        return changed

    async def _change(
        self,
        scope: Scope,
        deployment_id: str,
        model_id: str,
        draft: Callable[[Deployment], DeploymentDraft],
        capacity: Capacity,
    ) -> Deployment:
        async with self._store.begin() as tx:
            deployment = await deployment_to_write(tx, scope, deployment_id, model_id)
            model = await tx.models.get(deployment.model_id, None)
            if is_vendors(model):
                return await change_vendor_deployment(tx, deployment, model, draft(deployment), self._clock.now())
            template = await self._template(tx, model)
            require_launchable(template, self._settings)
            whole = self._checked(template, model, draft(deployment))
            before, after = Origin(model, template).snapshot(deployment), _snapshot(template, model, whole)
            # What leaves workers as they are leaves a deployment at the revision that it went back to, too.
            same = revision_of(before) == revision_of(after)
            revision = deployment.target.revision if same else revision_of(after)
            changed = replace(
                deployment,
                name=whole.name,
                vendor_configuration=whole.vendor_configuration,
                model_creation_parameters=whole.model_creation_parameters,
                deployment_metadata=whole.deployment_metadata,
                target=_target(template, whole, revision, before=deployment.target),
            )
            if changed != deployment:
                if not same:
                    _fitting(after, whole, capacity)
                    await _warn(tx, changed, after, capacity, self._clock.now())
                await self._write(tx, scope, deployment, changed, before, after)
        return changed

    async def _write(
        self, tx: Transaction, scope: Scope, old: Deployment, new: Deployment, before: Snapshot, after: Snapshot
    ) -> None:
        now = self._clock.now()
        await tx.deployments.set_target(new)
        if new.target.revision != old.target.revision:
            await record(tx, new, after, Rolling("deployment changed", scope.author, now), before)
        if new.target != old.target:
            await tx.deployments.add_event(Event(new.id, now, "updated", _difference(old, new)))

    async def delete(self, scope: Scope, deployment_id: str, model_id: str) -> None:
        """Ask for its end, and wait a little for it. Repeating this is no error while it is on its way out."""
        await until_unmet(lambda: self._delete(scope, deployment_id, model_id))
        self._reconciler.nudge(deployment_id)
        await wait_until_gone(self._store, self._clock, [deployment_id], GONE_SECONDS)

    async def _delete(self, scope: Scope, deployment_id: str, model_id: str) -> None:
        now = self._clock.now()
        async with self._store.begin() as tx:
            deployment = await deployment_to_write(tx, scope, deployment_id, model_id, deleted=True)
            if not deployment.target.deleted:
                await refuse_backend_in_use(tx, deployment.id, deployment.account_id)
                target = replace(deployment.target, deleted=True, generation=deployment.target.generation + 1)
                await tx.deployments.set_target(replace(deployment, target=target))
                await tx.deployments.add_event(Event(deployment.id, now, "deleted", "Its workers are being stopped."))

    async def settled(self, deployment: Deployment) -> Deployment:
        """``deployment`` once it is READY. Raises `InvalidRequest` (code ``deployment_failed``) with the reason
        where its workers failed, `UpstreamTimeout` where it takes too long: both leave it there."""
        seconds = self._settings.gateway.total_seconds
        try:
            now_there = await self._reconciler.wait_settled(deployment.id, deployment.target.generation, seconds)
        except TimeoutError as error:
            raise UpstreamTimeout(
                f"The deployment {deployment.id} was not ready within {seconds:g} s; it is still being made.",
                code="deployment_not_ready",
                hint=f"Look at GET /v4/models/{deployment.model_id}/deployments/{deployment.id}.",
            ) from error
        status, detail = self.status(now_there)
        if status is DeploymentStatus.DELETE_IN_PROGRESS:
            raise Conflict("This deployment was deleted before it was ready.", code="deployment_deleted")
        if status is DeploymentStatus.UPDATE_FAILED:
            reason = detail.reason or "no reason is known."
            raise InvalidRequest.at(
                "body",
                msg=f"the deployment {deployment.id} exists, but its workers fail: {reason} "
                "(Change what is wrong with PATCH, or DELETE it; until then it is tried again with growing pauses.)",
                type="deployment_failed",
                code="deployment_failed",
            )
        return now_there

    def status(self, deployment: Deployment) -> tuple[DeploymentStatus, StatusDetail]:
        return status_of(deployment, self._clock.now())

    async def logs(self, scope: Scope, deployment_id: str, lines: int) -> list[WorkerLog]:
        """The last ``lines`` lines of every worker that exists or failed lately, newest worker first,
        without the secrets that they were given. Built-in
        deployments serve every account, so only administrators read theirs."""
        deployment = await self.get(scope, deployment_id)
        if deployment.is_built_in and not scope.caller.is_administrator:
            raise Forbidden("Only administrators read the logs of built-in deployments.", code="administrator_needed")
        phases = {each.worker_id: each.phase.value for each in await self._launcher.observe(deployment.id)}
        for worker in sorted(deployment.workers, key=lambda each: each.created_at):
            phases = {worker.id: worker.phase.value, **{k: v for k, v in phases.items() if k != worker.id}}
        async with self._store.read() as tx:
            bundles = [each.snapshot.bundle for each in await tx.revisions.of(deployment.id)]
        secrets = secrets_of(bundles, self._vault)
        found = [(id_, phase, await self._launcher.logs(id_, lines)) for id_, phase in phases.items()]
        return [WorkerLog(id_, phase, [without(line, secrets) for line in said]) for id_, phase, said in found]

    async def events(self, scope: Scope, deployment_id: str, limit: int) -> Sequence[Event]:
        async with self._store.read() as tx:
            deployment = await found_deployment(tx, scope, deployment_id, None)
            return await tx.deployments.events(deployment.id, limit)

    async def _template(self, tx: Transaction, model: Model) -> Template:
        if model.model_template_id is None:
            raise InvalidRequest.at("path", "model_id", msg="this model has no template, so there is nothing to run")
        return await tx.templates.get(model.model_template_id, None)

    def _checked(self, template: Template, model: Model, draft: DeploymentDraft) -> DeploymentDraft:
        whole = replace(
            draft, vendor_configuration=completed_configuration(template, model, draft.vendor_configuration)
        )
        bound = self._settings.security.max_workers_per_deployment
        if errors := check_deployment(template, model, whole, self._cards, max_workers=bound):
            raise InvalidRequest(errors, code="invalid_deployment")
        return whole


async def found_deployment(tx: Transaction, scope: Scope, deployment_id: str, model_id: str | None) -> Deployment:
    deployment = await tx.deployments.get(deployment_id, scope.readable)
    if model_id is not None and deployment.model_id != model_id:
        raise NotFound(
            f"There is no deployment '{deployment_id}' of the model '{model_id}'.", code="deployment_not_found"
        )
    return deployment


async def deployment_to_write(
    tx: Transaction, scope: Scope, deployment_id: str, model_id: str, *, deleted: bool = False
) -> Deployment:
    """One that the caller may change. ``deleted``: also where it is on its way out."""
    deployment = await found_deployment(tx, scope, deployment_id, model_id)
    refuse_built_in(deployment.account_id, "deployment")
    scope.require(Right.WRITE, deployment.account_id)
    if deployment.target.deleted and not deleted:
        raise Conflict("This deployment is being deleted.", code="deployment_deleted")
    return deployment


def _account_of(scope: Scope, model: Model, wanted: str | None) -> str:
    """A deployment belongs where its model does; one of a built-in model, to whoever makes it."""
    if model.account_id == PLATFORM_ACCOUNT_ID:
        return scope.account_to_write(wanted)
    if wanted is not None and wanted != model.account_id:
        if wanted not in scope.caller.roles:
            raise unknown_account(wanted)
        msg = f"is not the model's account, which is {model.account_id}; leave it out"
        raise InvalidRequest.at("body", "account_id", msg=msg)
    scope.require(Right.WRITE, model.account_id)
    return model.account_id


def _snapshot(template: Template, model: Model, draft: DeploymentDraft) -> Snapshot:
    return snapshot_of(template, model, draft.model_creation_parameters, draft.vendor_configuration)


def _fitting(snapshot: Snapshot, draft: DeploymentDraft, capacity: Capacity) -> Snapshot:
    if errors := list(check_fits(snapshot.resources, draft.vendor_configuration, capacity.total)):
        raise InvalidRequest(errors, code="never_fits")
    return snapshot


async def _warn(tx: Transaction, deployment: Deployment, snapshot: Snapshot, capacity: Capacity, now: datetime) -> None:
    if warning := oversubscribed(snapshot.resources, max(1, deployment.target.min_workers), capacity):
        log.warning(warning, deployment=deployment.id)
        await tx.deployments.add_event(Event(deployment.id, now, "warning", warning))


def _target(template: Template, draft: DeploymentDraft, revision: str, before: Target | None = None) -> Target:
    low, high, per_worker = scaling(template, draft.vendor_configuration)
    target = Target(min_workers=low, max_workers=high, per_worker=per_worker, revision=revision)
    if before is None:
        return target
    same = replace(target, generation=before.generation)
    return same if same == before else replace(target, generation=before.generation + 1)


def _difference(before: Deployment, after: Deployment) -> str:
    old, new = before.target, after.target
    if old.revision != new.revision:
        return f"Rolling over from revision {old.revision} to {new.revision}."
    return (
        f"Workers from {old.min_workers}..{old.max_workers} to {new.min_workers}..{new.max_workers}, "
        f"per_worker from {old.per_worker} to {new.per_worker}."
    )
