"""Brings the catalog into the store: built-in templates, starter and vendors' models and their fixed deployments."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from modelyard.catalog import Catalog, Starter, TemplateEntry
from modelyard.clock import Clock
from modelyard.control.builtin_ids import deployment_id, model_id, template_id
from modelyard.control.rolling import Origin, Rolling, record, roll_deployment
from modelyard.control.template_checks import check_parameters
from modelyard.control.vendors.builtins import sync_vendors
from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, PLATFORM_USER_ID, Account, Identity, IdentityType
from modelyard.domain.cards import EngineCard
from modelyard.domain.deployments import Deployment, Target
from modelyard.domain.models import Model, ModelVendor
from modelyard.domain.revisions import Author
from modelyard.domain.snapshots import merged_parameters, revision_of, snapshot_of
from modelyard.domain.templates import Template
from modelyard.domain.vendor_models import is_vendors
from modelyard.errors import Conflict, NotFound
from modelyard.settings import Settings
from modelyard.store import Store, Transaction
from modelyard.store.paging import PageQuery

log = structlog.get_logger(__name__)

_TRIES = 5
_PAGE = 1000


async def sync(store: Store, catalog: Catalog, settings: Settings, clock: Clock) -> None:
    """Make the built-in entities what ``catalog`` says. Doing it again changes nothing; two servers may do it
    at once, each in one transaction."""
    for attempt in range(_TRIES):
        try:
            async with store.begin() as tx:
                await _sync(tx, catalog, settings, clock.now())
            return
        except Conflict:
            # Another server wrote the same rows first; look again at what it made.
            if attempt == _TRIES - 1:
                raise


def vendors_synced(catalog: Catalog, settings: Settings, clock: Clock) -> Callable[[Transaction], Awaitable[None]]:
    """What is done in the transaction in which an account's access to a vendor comes or goes."""

    async def synced(tx: Transaction) -> None:
        await _sync_vendors(tx, catalog, settings, clock.now())

    return synced


async def _sync(tx: Transaction, catalog: Catalog, settings: Settings, now: datetime) -> None:
    await _ensure_platform(tx, now)
    for entry in catalog.templates:
        await _sync_template(tx, entry, catalog.cards, now)
    starters = catalog.starters if settings.catalog.starters else ()
    for starter in starters:
        await _sync_starter(tx, starter, warm=settings.catalog.warm_starters, now=now)
    await _sync_vendors(tx, catalog, settings, now)


async def _sync_vendors(tx: Transaction, catalog: Catalog, settings: Settings, now: datetime) -> None:
    starters = catalog.starters if settings.catalog.starters else ()
    taken = {starter.name for starter in starters}
    kept = await sync_vendors(tx, catalog.vendor_models, settings.vendors, taken, now)
    await _retire(tx, kept | {model_id(starter.name) for starter in starters})


async def _ensure_platform(tx: Transaction, now: datetime) -> None:
    try:
        await tx.accounts.account(PLATFORM_ACCOUNT_ID)
    except NotFound:
        await tx.accounts.add_account(Account(PLATFORM_ACCOUNT_ID, "modelyard", now))
    try:
        await tx.accounts.identity(PLATFORM_USER_ID)
    except NotFound:
        identity = Identity(
            id=PLATFORM_USER_ID,
            type=IdentityType.SERVICE_ACCOUNT,
            email="platform@modelyard.invalid",
            created_at=now,
            first_name="modelyard",
        )
        await tx.accounts.add_identity(identity)


async def _sync_template(tx: Transaction, entry: TemplateEntry, cards: Mapping[str, EngineCard], now: datetime) -> None:
    id_ = template_id(entry.name)
    try:
        existing = await tx.templates.get(id_, None)
    except NotFound:
        await tx.templates.upsert(entry.template(id_, now))
        return
    template = entry.template(id_, existing.created_at)
    if template != existing:
        await tx.templates.upsert(template)
        await _roll_users(tx, existing, template, cards, now)


def _upgrade(now: datetime) -> Rolling:
    return Rolling("another version of modelyard", Author(PLATFORM_USER_ID, IdentityType.SERVICE_ACCOUNT), now)


async def _roll_users(
    tx: Transaction, before: Template, template: Template, cards: Mapping[str, EngineCard], now: datetime
) -> None:
    """Let what users made from a built-in template follow it to this version. A deployment that it no longer fits
    stays as it is, and the log says so: an upgrade must not keep the server from starting."""
    users = [deployment for deployment in await tx.deployments.all_live() if not deployment.is_built_in]
    models = await tx.models.get_many([deployment.model_id for deployment in users])
    for deployment in users:
        model = models[deployment.model_id]
        if model.model_template_id != template.id:
            continue
        values = merged_parameters(model, deployment.model_creation_parameters)
        if errors := check_parameters(template, cards, values, partial=False):
            log.warning("builtins.misfit", deployment=deployment.id, template=template.name, errors=errors)
            continue
        old, new = Origin(model, before).snapshot(deployment), Origin(model, template).snapshot(deployment)
        if await roll_deployment(tx, deployment, old, new, _upgrade(now)):
            log.info("builtins.rolled", template=template.name, deployment=deployment.id, revision=revision_of(new))


async def _sync_starter(tx: Transaction, starter: Starter, *, warm: bool, now: datetime) -> None:
    template = await tx.templates.get(template_id(starter.template.name), None)
    id_ = model_id(starter.name)
    try:
        existing = await tx.models.get(id_, None)
        created_at = existing.created_at
    except NotFound:
        existing, created_at = None, now
    model = starter.model(id_, template.id, created_at)
    if model != existing:
        await tx.models.upsert(model)
    await _sync_deployment(tx, starter, template, model, warm=warm, now=now)


async def _sync_deployment(
    tx: Transaction, starter: Starter, template: Template, model: Model, *, warm: bool, now: datetime
) -> None:
    wanted = _deployment(starter, template, model, warm=warm, now=now)
    try:
        existing = await tx.deployments.get(wanted.id, None)
    except NotFound:
        await tx.deployments.add(wanted)
        return
    target = replace(wanted.target, generation=existing.target.generation)
    if target != existing.target or wanted.vendor_configuration != existing.vendor_configuration:
        target = replace(target, generation=existing.target.generation + 1)
        changed = replace(existing, target=target, vendor_configuration=wanted.vendor_configuration)
        await tx.deployments.set_target(changed)
        if target.revision != existing.target.revision:
            await record(tx, changed, Origin(model, template).snapshot(changed), _upgrade(now))
        log.info("builtins.updated", model=model.name, revision=target.revision, generation=target.generation)


def _deployment(starter: Starter, template: Template, model: Model, *, warm: bool, now: datetime) -> Deployment:
    min_workers = max(starter.min_workers, int(warm))
    configuration = {
        "vendor": ModelVendor.LAUNCH.value,
        "min_workers": min_workers,
        "max_workers": starter.max_workers,
        "per_worker": starter.per_worker,
    }
    return Deployment(
        id=deployment_id(starter.name),
        account_id=PLATFORM_ACCOUNT_ID,
        created_at=now,
        created_by_user_id=PLATFORM_USER_ID,
        created_by_identity_type=IdentityType.SERVICE_ACCOUNT,
        name=starter.name,
        model_id=model.id,
        target=Target(
            min_workers=min_workers,
            max_workers=starter.max_workers,
            per_worker=starter.per_worker,
            revision=revision_of(snapshot_of(template, model, {}, configuration)),
        ),
        vendor_configuration=configuration,
    )


async def _retire(tx: Transaction, kept: set[str]) -> None:
    """Take away what this version or its settings do not offer. A deployment is marked here and removed by
    the reconciler; its model goes at the start after that, when nothing refers to it any more."""
    for model in await _built_in_models(tx):
        if model.id in kept:
            continue
        deployments = await tx.deployments.of_model(model.id)
        if is_vendors(model):
            await _retire_vendors(tx, model, deployments)
            continue
        for deployment in deployments:
            if not deployment.target.deleted:
                generation = deployment.target.generation + 1
                target = replace(deployment.target, deleted=True, generation=generation)
                await tx.deployments.set_target(replace(deployment, target=target))
        if not deployments:
            await tx.models.delete(model.id)


async def _retire_vendors(tx: Transaction, model: Model, deployments: Sequence[Deployment]) -> None:
    """There are no workers to wait for. A model that somebody has deployed for himself stays."""
    if all(deployment.is_built_in for deployment in deployments):
        for deployment in deployments:
            await tx.deployments.remove(deployment.id)
        await tx.models.delete(model.id)


async def _built_in_models(tx: Transaction) -> list[Model]:
    models: list[Model] = []
    while True:
        page = await tx.models.page(
            PageQuery((PLATFORM_ACCOUNT_ID,), page=len(models) // _PAGE + 1, limit=_PAGE, sort=(("id", False),))
        )
        models += page.items
        if len(models) >= page.total or not page.items:
            return models
