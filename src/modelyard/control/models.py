"""What the API does to models."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from uuid import uuid4

from modelyard.clock import Clock
from modelyard.control.again import until_unmet
from modelyard.control.drafts import ModelDraft
from modelyard.control.fallbacks import resolved_fallbacks
from modelyard.control.gone import wait_until_gone
from modelyard.control.idempotency import Attempt, create_once
from modelyard.control.rolling import Origin, Rolling, roll_model
from modelyard.control.scope import Scope, refuse_built_in
from modelyard.control.template_checks import check_parameters
from modelyard.control.vendors.deployments import roll_vendor_model
from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, Right
from modelyard.domain.cards import EngineCard
from modelyard.domain.deployments import Deployment
from modelyard.domain.models import SELF_HOSTED_VENDORS, Model, ModelVendor
from modelyard.domain.templates import Template
from modelyard.domain.vendor_models import TYPES, TYPES_OF, check_vendor_model, is_vendors
from modelyard.errors import Conflict, FieldError, InvalidRequest, NotFound
from modelyard.store import Store, Transaction
from modelyard.store.paging import Page, PageQuery

GONE_SECONDS = 20
"""How long deleting a model waits for deployments that are being deleted already."""


class Models:
    """Models, as their owners see them."""

    def __init__(
        self, store: Store, clock: Clock, cards: Mapping[str, EngineCard], nudge: Callable[[str], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._cards = cards
        self._nudge = nudge

    async def create(self, scope: Scope, account_id: str | None, draft: ModelDraft, attempt: Attempt) -> Model:
        account = scope.account_to_write(account_id)
        now = self._clock.now()
        model = Model(id=str(uuid4()), **scope.signature(account, now), **draft.values())

        async def make(tx: Transaction) -> Model:
            whole = await self._completed(tx, model)
            await tx.models.add(whole)
            return whole

        async def again(tx: Transaction, model_id: str) -> Model:
            return await tx.models.get(model_id, scope.readable)

        return await create_once(self._store, attempt, now, make=make, again=again)

    async def get(self, scope: Scope, model_id: str) -> Model:
        async with self._store.read() as tx:
            return await tx.models.get(model_id, scope.readable)

    async def page(self, query: PageQuery) -> Page[Model]:
        async with self._store.read() as tx:
            return await tx.models.page(query)

    async def deployments(self, scope: Scope, models: Sequence[Model]) -> dict[str, list[Deployment]]:
        """The deployments of each model that the caller may see, by model id."""
        async with self._store.read() as tx:
            found = await tx.deployments.of_models([model.id for model in models])
        return {model.id: _visible(scope, found.get(model.id, ())) for model in models}

    async def deployment_counts(self, scope: Scope, models: Sequence[Model]) -> dict[str, int]:
        """How many deployments of each model the caller may see, by model id."""
        own = [model.id for model in models if not model.is_built_in]
        # Everybody may deploy a built-in model: what others made of it is not counted.
        shared = [model for model in models if model.is_built_in]
        counts = dict.fromkeys((model.id for model in models), 0)
        async with self._store.read() as tx:
            counts |= await tx.models.deployment_counts(own) if own else {}
        if shared:
            counts |= {id_: len(found) for id_, found in (await self.deployments(scope, shared)).items()}
        return counts

    async def change(self, scope: Scope, model_id: str, draft: Callable[[Model], ModelDraft]) -> Model:
        """Put ``draft(model)`` in the model's place; its deployments roll over to what changed for them."""
        changed, rolled = await until_unmet(lambda: self._change(scope, model_id, draft))
        for deployment_id in rolled:
            self._nudge(deployment_id)
        return changed

    async def _change(
        self, scope: Scope, model_id: str, draft: Callable[[Model], ModelDraft]
    ) -> tuple[Model, list[str]]:
        async with self._store.begin() as tx:
            model = await tx.models.get(model_id, scope.readable)
            refuse_built_in(model.account_id, "model")
            scope.require(Right.WRITE, model.account_id)
            changed = await self._completed(tx, draft(model).onto(model), model.fallbacks)
            if changed != model:
                await tx.models.replace(changed)
            if is_vendors(model) != is_vendors(changed):
                await _refuse_other_kind(tx, model)
            if is_vendors(changed):
                return changed, await roll_vendor_model(tx, changed, self._clock.now())
            if is_vendors(model):  # without deployments
                return changed, []
            before = Origin(model, await tx.templates.get(str(model.model_template_id), None))
            after = Origin(changed, await tx.templates.get(str(changed.model_template_id), None))
            rolling = Rolling("model changed", scope.author, self._clock.now())
            return changed, await roll_model(tx, before, after, self._cards, rolling)

    async def delete(self, scope: Scope, model_id: str) -> None:
        """Raises `Conflict` naming the deployments that are still there. Those on their way out are waited for,
        so that deleting a deployment and then its model needs no patience of the caller's own."""
        model = await self._to_delete(scope, model_id)
        async with self._store.begin() as tx:
            found = await tx.deployments.of_model(model.id)
        if found and all(deployment.target.deleted for deployment in found):
            await wait_until_gone(self._store, self._clock, [deployment.id for deployment in found], GONE_SECONDS)
        async with self._store.begin() as tx:
            found = await tx.deployments.of_model(model.id)
            if found:
                names = ", ".join(f"'{deployment.name}' ({deployment.id})" for deployment in found[:10])
                raise Conflict(
                    f"The model '{model.name}' has {len(found)} deployment{'s' if len(found) > 1 else ''}: {names}.",
                    code="model_in_use",
                    hint="Delete them first.",
                )
            await tx.models.delete(model.id)

    async def _to_delete(self, scope: Scope, model_id: str) -> Model:
        model = await self.get(scope, model_id)
        refuse_built_in(model.account_id, "model")
        scope.require(Right.WRITE, model.account_id)
        return model

    async def _completed(self, tx: Transaction, model: Model, before: tuple[str, ...] = ()) -> Model:
        """``model`` with its vendor filled in, once everything about it is found to fit. ``before``: the fallbacks it
        had, of which some may be gone."""
        model = _with_vendor(model)
        await _check_group(tx, model)
        if model.fallbacks != before:
            model = replace(model, fallbacks=await resolved_fallbacks(tx, model))
        if is_vendors(model):
            _check_vendors(model)
            return model
        template = await _template_of(tx, model)
        if template.model_type != model.model_type:
            raise InvalidRequest.at(
                "body",
                "model_type",
                msg=f"is {model.model_type}, but the template '{template.name}' makes models of type "
                f"{template.model_type}",
                code="model_type_mismatch",
            )
        values = model.model_creation_parameters
        errors = check_parameters(template, self._cards, values, "body", "model_creation_parameters", partial=True)
        if errors:
            raise InvalidRequest(errors, code="invalid_parameters")
        return model


def _with_vendor(model: Model) -> Model:
    vendor = model.model_vendor or ModelVendor.LAUNCH
    if vendor not in SELF_HOSTED_VENDORS and model.model_template_id is not None:
        msg = f"the vendor {vendor} answers itself: its models are made from no template; leave it out"
        raise InvalidRequest.at("body", "model_template_id", msg=msg)
    return replace(model, model_vendor=vendor)


def _check_vendors(model: Model) -> None:
    vendor = model.model_vendor
    assert vendor is not None
    errors = check_vendor_model(
        vendor, model.model_creation_parameters, "body", "model_creation_parameters", partial=True
    )
    if model.model_type not in TYPES:
        msg = f"vendors are called for {', '.join(TYPES)}; a {model.model_type} is hosted here"
        errors.append(FieldError(("body", "model_type"), msg))
    elif model.model_type not in TYPES_OF[vendor]:
        msg = f"{vendor} is called for {', '.join(TYPES_OF[vendor])}, and has no {model.model_type}"
        errors.append(FieldError(("body", "model_type"), msg))
    if errors:
        raise InvalidRequest(errors, code="invalid_parameters")


async def _refuse_other_kind(tx: Transaction, model: Model) -> None:
    """A deployment with workers does not become a vendor's, nor the other way round."""
    if await tx.deployments.of_model(model.id):
        raise Conflict(
            f"The model '{model.name}' has deployments, and would be served in another way.",
            code="change_breaks_deployment",
            hint="Delete them first, or make a new model.",
        )


async def _template_of(tx: Transaction, model: Model) -> Template:
    if model.model_template_id is None:
        msg = f"a model of the vendor {model.model_vendor} is made from a template; GET /v4/model-templates lists them"
        raise InvalidRequest.at("body", "model_template_id", msg=msg, type="missing")
    try:
        # Of the model's own account or built in: the caller's other accounts are no part of this one.
        return await tx.templates.get(model.model_template_id, (model.account_id, PLATFORM_ACCOUNT_ID))
    except NotFound as error:
        msg = "there is no such template in the model's account, nor a built-in one; GET /v4/model-templates lists them"
        raise InvalidRequest.at("body", "model_template_id", msg=msg, code="template_not_found") from error


async def _check_group(tx: Transaction, model: Model) -> None:
    """Raise where the group that ``model`` names is none of its account's, or is one of models of another base."""
    if model.model_group_id is None:
        return
    try:
        group = await tx.groups.hold(model.model_group_id, model.account_id)
    except NotFound as error:
        msg = "there is no such model group in the model's account; GET /v4/model-groups lists them"
        raise InvalidRequest.at("body", "model_group_id", msg=msg, code="model_group_not_found") from error
    others = await tx.models.bases_in_group(group.id, besides=model.id) - {model.base_model_id}
    if others:
        base, own = (f"'{each}'" if each else "none" for each in (min(others, key=str), model.base_model_id))
        raise Conflict(
            f"The models of the group '{group.name}' have the base_model_id {base}, and this one has {own}.",
            code="base_model_mismatch",
            hint="A group holds models of one base model: give the model that base_model_id, or choose another group.",
        )


def _visible(scope: Scope, deployments: Sequence[Deployment]) -> list[Deployment]:
    readable = set(scope.readable)
    return [deployment for deployment in deployments if deployment.account_id in readable]
