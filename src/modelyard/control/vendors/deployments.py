"""Deployments of vendors' models: checked and written like any other, but with no worker, and so no revision to roll
to. What they are called with is read from model and deployment at each change of routes."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from modelyard.control.drafts import DeploymentDraft
from modelyard.control.scope import Scope
from modelyard.domain.deployments import Deployment, Event, Target
from modelyard.domain.models import Model, ModelVendor
from modelyard.domain.parameters import Values
from modelyard.domain.snapshots import merged_parameters
from modelyard.domain.vendor_models import PER_WORKER, check_vendor_model
from modelyard.errors import Conflict, FieldError, InvalidRequest
from modelyard.store import Transaction

_CONFIGURATION = ("body", "vendor_configuration")
_MOST_PER_WORKER = 100_000


def vendor_target(model: Model, parameters: Values, per_worker: int, before: Target | None = None) -> Target:
    """Without workers. ``before``: what it was; the same again keeps its generation."""
    facts = {"vendor": model.model_vendor, "parameters": merged_parameters(model, parameters)}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    target = Target(min_workers=0, max_workers=0, per_worker=per_worker, revision=digest)
    if before is None:
        return target
    same = replace(target, generation=before.generation)
    return same if same == before else replace(target, generation=before.generation + 1)


def checked_draft(model: Model, draft: DeploymentDraft) -> DeploymentDraft:
    """``draft`` once everything about it is found to fit; its configuration is what was said of ``per_worker``."""
    vendor = model.model_vendor
    assert vendor is not None
    said = {name: value for name, value in draft.vendor_configuration.items() if value is not None}
    errors = list(_check_configuration(vendor, said))
    values = merged_parameters(model, draft.model_creation_parameters)
    errors += check_vendor_model(vendor, values, "body", "model_creation_parameters")
    if errors:
        raise InvalidRequest(errors, code="invalid_deployment")
    return replace(draft, vendor_configuration={"per_worker": int(said.get("per_worker", PER_WORKER))})


def _check_configuration(vendor: ModelVendor, said: Mapping[str, Any]) -> Iterator[FieldError]:
    if said.get("vendor", vendor) != vendor:
        yield FieldError((*_CONFIGURATION, "vendor"), f"is {said['vendor']}, but the model's vendor is {vendor}")
    for name in sorted(set(said) - {"vendor", "per_worker"}):
        yield FieldError((*_CONFIGURATION, name), f"{vendor} answers itself: there are no workers", "unknown")
    if not 1 <= said.get("per_worker", PER_WORKER) <= _MOST_PER_WORKER:
        yield FieldError((*_CONFIGURATION, "per_worker"), f"must be between 1 and {_MOST_PER_WORKER}")


async def add_vendor_deployment(
    tx: Transaction, scope: Scope, account: str, model: Model, draft: DeploymentDraft, now: datetime
) -> Deployment:
    """A new one, in this transaction."""
    whole = checked_draft(model, draft)
    deployment = Deployment(
        id=str(uuid4()),
        **scope.signature(account, now),
        name=whole.name,
        model_id=model.id,
        target=vendor_target(model, whole.model_creation_parameters, whole.vendor_configuration["per_worker"]),
        vendor_configuration=whole.vendor_configuration,
        model_creation_parameters=whole.model_creation_parameters,
        deployment_metadata=whole.deployment_metadata,
    )
    await tx.deployments.add(deployment)
    author = f"{scope.caller.identity_type} {scope.caller.identity_id}"
    await tx.deployments.add_event(Event(deployment.id, now, "created", f"Made by {author}."))
    return deployment


async def change_vendor_deployment(
    tx: Transaction, deployment: Deployment, model: Model, draft: DeploymentDraft, now: datetime
) -> Deployment:
    """``draft`` in its place, in this transaction."""
    whole = checked_draft(model, draft)
    per_worker = whole.vendor_configuration["per_worker"]
    changed = replace(
        deployment,
        name=whole.name,
        vendor_configuration=whole.vendor_configuration,
        model_creation_parameters=whole.model_creation_parameters,
        deployment_metadata=whole.deployment_metadata,
        target=vendor_target(model, whole.model_creation_parameters, per_worker, deployment.target),
    )
    if changed != deployment:
        await tx.deployments.set_target(changed)
        if changed.target != deployment.target:
            await tx.deployments.add_event(Event(deployment.id, now, "updated", "Called in another way from now on."))
    return changed


async def roll_vendor_model(tx: Transaction, model: Model, now: datetime) -> list[str]:
    """New targets for the deployments of ``model``, which changed; gives the ids of those that change. Raises
    `Conflict` naming the first one that would not fit."""
    assert model.model_vendor is not None
    rolled = []
    for deployment in await tx.deployments.of_model(model.id):
        values = merged_parameters(model, deployment.model_creation_parameters)
        if errors := check_vendor_model(model.model_vendor, values, "model_creation_parameters"):
            words = "; ".join(f"{'.'.join(map(str, error.loc))} {error.msg}" for error in errors[:5])
            raise Conflict(
                f"What is in use would not fit the change: the deployment '{deployment.name}': {words}.",
                code="change_breaks_deployment",
                hint="Change or delete that first, or make a new model.",
            )
        before = deployment.target
        target = vendor_target(model, deployment.model_creation_parameters, before.per_worker, before)
        if target != before and not before.deleted:
            await tx.deployments.set_target(replace(deployment, target=target))
            await tx.deployments.add_event(Event(deployment.id, now, "updated", "Called in another way from now on."))
            rolled.append(deployment.id)
    return rolled
