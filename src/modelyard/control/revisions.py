"""The revisions of a deployment, as its owners see them: what it was made of, and going back to that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from modelyard.clock import Clock
from modelyard.control.again import until_unmet
from modelyard.control.deployments import Settling, deployment_to_write, found_deployment
from modelyard.control.rolling import Rolling, record
from modelyard.control.scope import Scope
from modelyard.control.template_checks import require_local_commands
from modelyard.domain.deployments import Deployment, Event
from modelyard.domain.revisions import Change, Revision, RevisionState, difference, good_before, state_of
from modelyard.domain.snapshots import RESOURCE_FIELDS, Snapshot
from modelyard.errors import Conflict, InvalidRequest
from modelyard.settings import Settings
from modelyard.store import Store, Transaction


@dataclass(frozen=True, slots=True)
class Entry:
    """A revision, what it changed against the one before it, and how it stands."""

    revision: Revision
    changes: Sequence[Change]
    state: RevisionState


class Revisions:
    def __init__(self, store: Store, clock: Clock, settings: Settings, reconciler: Settling) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._reconciler = reconciler

    async def entries(self, scope: Scope, deployment_id: str, model_id: str) -> list[Entry]:
        """Newest first."""
        async with self._store.read() as tx:
            deployment = await found_deployment(tx, scope, deployment_id, model_id)
            revisions = await tx.revisions.of(deployment.id)
        numbers = _numbers(revisions)
        return [
            Entry(
                revision,
                difference(before.snapshot, revision.snapshot) if before else (),
                state_of(revision, deployment, numbers),
            )
            for revision, before in zip(revisions, [*revisions[1:], None], strict=True)
        ]

    async def rollback(self, scope: Scope, deployment_id: str, model_id: str, wanted: int | str | None) -> Deployment:
        """Go back to the revision of that number or fingerprint; None: the last good one before the present. Its own
        parameters and resources are the deployment's again; scaling numbers stay. Going back to what is wanted already
        changes nothing, except that a revision that was given up is tried anew."""
        changed = await until_unmet(lambda: self._rollback(scope, deployment_id, model_id, wanted))
        self._reconciler.nudge(changed.id)
        return changed

    async def _rollback(self, scope: Scope, deployment_id: str, model_id: str, wanted: int | str | None) -> Deployment:
        async with self._store.begin() as tx:
            deployment = await deployment_to_write(tx, scope, deployment_id, model_id)
            entry = _chosen(await tx.revisions.of(deployment.id), deployment, wanted)
            require_local_commands(entry.snapshot.bundle, self._settings)
            return await self._go_back(tx, scope, deployment, entry)

    async def _go_back(self, tx: Transaction, scope: Scope, deployment: Deployment, entry: Revision) -> Deployment:
        given_up = deployment.observed.failed_revision == entry.revision
        if entry.revision == deployment.target.revision and not given_up:
            return deployment
        target = replace(deployment.target, revision=entry.revision, generation=deployment.target.generation + 1)
        changed = replace(
            deployment,
            target=target,
            model_creation_parameters=dict(entry.snapshot.own_parameters),
            vendor_configuration=_with_resources(deployment.vendor_configuration, entry.snapshot),
        )
        now = self._clock.now()
        await tx.deployments.set_target(changed, retry=True)
        if entry.revision == deployment.target.revision:
            message = f"Revision {entry.revision} is tried anew."
        else:
            message = f"Going back to revision {entry.revision} (number {entry.number})."
            rolling = Rolling(f"rollback to {entry.number}", scope.author, now)
            await record(tx, changed, entry.snapshot, rolling)
        await tx.deployments.add_event(Event(deployment.id, now, "updated", message))
        return changed


def _numbers(revisions: Sequence[Revision]) -> Mapping[str, int]:
    """The last entry's number by fingerprint."""
    return {each.revision: each.number for each in reversed(revisions)}


def _chosen(revisions: Sequence[Revision], deployment: Deployment, wanted: int | str | None) -> Revision:
    if wanted is None:
        entry = good_before(revisions, deployment)
        if entry is None:
            raise Conflict(
                "There is nothing to go back to: no earlier revision of this deployment was ever ready.",
                code="no_earlier_revision",
                hint="GET …/revisions lists what there is; change the deployment with PATCH.",
            )
        return entry
    for entry in revisions:
        if wanted in (entry.number, entry.revision):
            return entry
    kept = f"1 to {revisions[0].number}" if revisions else "none yet"
    msg = f"this deployment has no revision '{wanted}'; GET …/revisions lists those that are kept ({kept})"
    raise InvalidRequest.at("body", "revision", msg=msg, code="unknown_revision")


def _with_resources(configuration: Mapping[str, object], snapshot: Snapshot) -> dict[str, object]:
    kept = {name: value for name, value in configuration.items() if name not in RESOURCE_FIELDS}
    return {**kept, **snapshot.own_resources}
