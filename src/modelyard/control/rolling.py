"""What is deployed rolls over when its template or model changes: new targets, in the same transaction, and an entry
in each deployment's list of revisions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from modelyard.control.template_checks import check_parameters
from modelyard.domain.cards import EngineCard
from modelyard.domain.deployments import Deployment, Event
from modelyard.domain.models import Model
from modelyard.domain.revisions import Author, Revision
from modelyard.domain.snapshots import Snapshot, merged_parameters, revision_of, snapshot_of
from modelyard.domain.templates import Template
from modelyard.errors import Conflict, FieldError
from modelyard.store import Transaction
from modelyard.store.paging import PageQuery

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Rolling:
    """Why, by whom and when revisions change."""

    why: str
    author: Author
    now: datetime


@dataclass(frozen=True, slots=True)
class Origin:
    """What deployments are made from."""

    model: Model
    template: Template

    def snapshot(self, deployment: Deployment) -> Snapshot:
        return snapshot_of(
            self.template, self.model, deployment.model_creation_parameters, deployment.vendor_configuration
        )


async def record(
    tx: Transaction, deployment: Deployment, snapshot: Snapshot, rolling: Rolling, before: Snapshot | None = None
) -> None:
    """Add what ``deployment``'s target is made of to its revisions. ``before``: what it was made of, kept as number 1
    where it is older than revisions are kept for."""
    if before is not None:
        author = Author(deployment.created_by_user_id, deployment.created_by_identity_type)
        first = Revision(deployment.id, 1, revision_of(before), deployment.created_at, author, "created", before)
        await tx.revisions.add_first(first)
    revision = deployment.target.revision
    await tx.revisions.add(Revision(deployment.id, 0, revision, rolling.now, rolling.author, rolling.why, snapshot))


async def roll_template(
    tx: Transaction, before: Template, template: Template, cards: Mapping[str, EngineCard], rolling: Rolling
) -> list[str]:
    """New targets for the deployments of every model made from ``template``, which was ``before``; gives the ids of
    those that change. Raises `Conflict` naming the first model or deployment that the template would not fit."""
    rolled = []
    for model in await _models_of(tx, template):
        if model.model_type != template.model_type:
            raise _misfit(f"the model '{model.name}' is of type {model.model_type}")
        errors = check_parameters(
            template, cards, model.model_creation_parameters, "model_creation_parameters", partial=True
        )
        if errors:
            raise _misfit(f"the model '{model.name}': {_words(errors)}")
        rolled += await roll_model(tx, Origin(model, before), Origin(model, template), cards, rolling)
    return rolled


async def roll_model(
    tx: Transaction, before: Origin, after: Origin, cards: Mapping[str, EngineCard], rolling: Rolling
) -> list[str]:
    """As `roll_template`, for one model."""
    rolled = []
    for deployment in await tx.deployments.of_model(after.model.id):
        if deployment.target.deleted:
            continue
        values = merged_parameters(after.model, deployment.model_creation_parameters)
        if errors := check_parameters(after.template, cards, values, "model_creation_parameters", partial=False):
            raise _misfit(f"the deployment '{deployment.name}' of the model '{after.model.name}': {_words(errors)}")
        if await roll_deployment(tx, deployment, before.snapshot(deployment), after.snapshot(deployment), rolling):
            rolled.append(deployment.id)
    return rolled


async def roll_deployment(
    tx: Transaction, deployment: Deployment, before: Snapshot, after: Snapshot, rolling: Rolling
) -> bool:
    """Whether the change from ``before`` to ``after`` concerns its workers; a deployment that went back to an earlier
    revision stays there until one does."""
    revision = revision_of(after)
    if revision in (revision_of(before), deployment.target.revision):
        return False
    target = replace(deployment.target, revision=revision, generation=deployment.target.generation + 1)
    changed = replace(deployment, target=target)
    await tx.deployments.set_target(changed)
    await record(tx, changed, after, rolling, before)
    message = f"{rolling.why.capitalize()}: rolling over to revision {revision}."
    await tx.deployments.add_event(Event(deployment.id, rolling.now, "updated", message))
    return True


async def _models_of(tx: Transaction, template: Template) -> Sequence[Model]:
    models: list[Model] = []
    while True:
        page = await tx.models.page(
            PageQuery(
                accounts=(template.account_id,),
                page=len(models) // _BATCH + 1,
                limit=_BATCH,
                sort=(("id", False),),
                where={"model_template_id": template.id},
            )
        )
        models += page.items
        if len(models) >= page.total or not page.items:
            return models


def _misfit(what: str) -> Conflict:
    return Conflict(
        f"What is in use would not fit the change: {what}.",
        code="change_breaks_deployment",
        hint="Change or delete that first, or make a new template or model.",
    )


def _words(errors: Sequence[FieldError]) -> str:
    return "; ".join(f"{'.'.join(map(str, error.loc))} {error.msg}" for error in errors[:5])
