"""When a template or a model changes, what is deployed of it rolls over: new targets, in the same transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from modelyard.control.template_checks import check_parameters
from modelyard.domain.cards import EngineCard
from modelyard.domain.deployments import Deployment, Event
from modelyard.domain.models import Model
from modelyard.domain.specs import merged_parameters, revision_of
from modelyard.domain.templates import Template
from modelyard.errors import Conflict, FieldError
from modelyard.store import Transaction
from modelyard.store.paging import PageQuery

_BATCH = 1000


async def roll_template(
    tx: Transaction, template: Template, cards: Mapping[str, EngineCard], now: datetime
) -> list[str]:
    """New targets for the deployments of every model made from ``template``; gives the ids of those that change.
    Raises `Conflict` naming the first model or deployment that the template would no longer fit."""
    rolled = []
    for model in await _models_of(tx, template):
        if model.model_type != template.model_type:
            raise _misfit(f"the model '{model.name}' is of type {model.model_type}")
        errors = check_parameters(
            template, cards, model.model_creation_parameters, "model_creation_parameters", partial=True
        )
        if errors:
            raise _misfit(f"the model '{model.name}': {_words(errors)}")
        rolled += await roll_model(tx, model, template, cards, now)
    return rolled


async def roll_model(
    tx: Transaction, model: Model, template: Template, cards: Mapping[str, EngineCard], now: datetime
) -> list[str]:
    """As `roll_template`, for one model."""
    rolled = []
    for deployment in await tx.deployments.of_model(model.id):
        if deployment.target.deleted:
            continue
        values = merged_parameters(model, deployment.model_creation_parameters)
        if errors := check_parameters(template, cards, values, "model_creation_parameters", partial=False):
            raise _misfit(f"the deployment '{deployment.name}' of the model '{model.name}': {_words(errors)}")
        if await _roll(tx, deployment, template, model, now):
            rolled.append(deployment.id)
    return rolled


async def _roll(tx: Transaction, deployment: Deployment, template: Template, model: Model, now: datetime) -> bool:
    revision = revision_of(template, model, deployment.model_creation_parameters, deployment.vendor_configuration)
    target = deployment.target
    if revision == target.revision:
        return False
    target = replace(target, revision=revision, generation=target.generation + 1)
    await tx.deployments.set_target(replace(deployment, target=target))
    await tx.deployments.add_event(
        Event(deployment.id, now, "updated", f"Its model or template changed: rolling over to revision {revision}.")
    )
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
