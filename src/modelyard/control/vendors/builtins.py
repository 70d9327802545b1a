"""Vendors' models that ship with modelyard, in the store wherever the vendor has credentials: in the settings, or of
any account. Those of a vendor that has none any more go, once nobody uses them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from modelyard.control.builtin_ids import deployment_id, model_id
from modelyard.control.vendors.deployments import vendor_target
from modelyard.control.vendors.keys import settings_keys
from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, PLATFORM_USER_ID, IdentityType
from modelyard.domain.deployments import Deployment
from modelyard.domain.models import Model, ModelVendor
from modelyard.domain.templates import ModelType
from modelyard.domain.vendor_models import PER_WORKER, TYPES, VendorModel
from modelyard.errors import ConfigurationError, NotFound
from modelyard.settings import OtherSettings, VendorsSettings
from modelyard.store import Transaction

log = structlog.get_logger(__name__)


async def sync_vendors(
    tx: Transaction, shipped: Sequence[VendorModel], settings: VendorsSettings, taken: set[str], now: datetime
) -> set[str]:
    """Make vendors' built-in models what they should be; gives the ids of all that stay. ``taken``: names that other
    built-in models have."""
    present = {key.vendor for key in settings_keys(settings)}
    present |= {credential.vendor for credential in await tx.vendor_credentials.all()}
    wanted = [entry for entry in shipped if entry.vendor in present] + list(listed_models(settings))
    kept = set()
    for entry in wanted:
        if entry.name in taken:
            log.warning("a vendor's model is left out: its name is taken", name=entry.name, vendor=entry.vendor.value)
            continue
        taken.add(entry.name)
        kept.add(await _sync_one(tx, entry, now))
    return kept


def listed_models(settings: VendorsSettings) -> Iterator[VendorModel]:
    """The models of OpenAI-compatible servers that the settings name. Raises `ConfigurationError` for a type that is
    none."""
    named = [(ModelVendor.OTHER, group, f"OTHERS__{name.upper()}") for name, group in settings.others.items()]
    for vendor, group, setting in (
        (ModelVendor.OTHER, settings.other, "OTHER"),
        (ModelVendor.LLMENGINE, settings.llmengine, "LLMENGINE"),
        *named,
    ):
        for word in filter(None, map(str.strip, group.models.split(","))):
            name, _, kind = word.partition("=")
            yield VendorModel(
                vendor=vendor,
                name=name.strip(),
                model=name.strip(),
                model_type=_type_of(kind.strip() or ModelType.CHAT_COMPLETION, f"MODELYARD_VENDORS__{setting}", group),
                display_name=name.strip(),
                developer="unknown",
                base_url=group.base_url if setting.startswith("OTHERS__") else None,
            )


def _type_of(kind: str, setting: str, group: OtherSettings) -> ModelType:
    if not group.base_url:
        raise ConfigurationError(f"{setting}__MODELS names models, but {setting}__BASE_URL is not set.")
    if kind.upper() not in TYPES:
        raise ConfigurationError(f"{setting}__MODELS: '{kind}' is no model type; {', '.join(TYPES)} are.")
    return ModelType(kind.upper())


async def _sync_one(tx: Transaction, entry: VendorModel, now: datetime) -> str:
    id_ = model_id(f"{entry.vendor}/{entry.name}")
    try:
        existing = await tx.models.get(id_, None)
        created_at = existing.created_at
    except NotFound:
        existing, created_at = None, now
    model = _model(id_, entry, created_at)
    if model != existing:
        await tx.models.upsert(model)
    await _sync_deployment(tx, model, entry, now)
    return id_


def _model(id_: str, entry: VendorModel, created_at: datetime) -> Model:
    deprecated = f" Its vendor ends it, or advises against it, from {entry.deprecated} on." if entry.deprecated else ""
    details = {} if entry.context_window is None else {"token_context_window": entry.context_window}
    return Model(
        id=id_,
        account_id=PLATFORM_ACCOUNT_ID,
        created_at=created_at,
        created_by_user_id=PLATFORM_USER_ID,
        created_by_identity_type=IdentityType.SERVICE_ACCOUNT,
        name=entry.name,
        model_type=entry.model_type,
        model_vendor=entry.vendor,
        display_name=entry.display_name,
        description=f"Answered by the vendor {entry.vendor}.{deprecated}",
        model_creation_parameters=entry.parameters,
        base_model_metadata={
            "model_developer": entry.developer,
            "modelDetails": details,
            "ui_model_section_type": "PARTNER",
        },
    )


async def _sync_deployment(tx: Transaction, model: Model, entry: VendorModel, now: datetime) -> None:
    id_ = deployment_id(f"{entry.vendor}/{entry.name}")
    try:
        existing = await tx.deployments.get(id_, None)
    except NotFound:
        await tx.deployments.add(
            Deployment(
                id=id_,
                account_id=PLATFORM_ACCOUNT_ID,
                created_at=now,
                created_by_user_id=PLATFORM_USER_ID,
                created_by_identity_type=IdentityType.SERVICE_ACCOUNT,
                name=entry.name,
                model_id=model.id,
                target=vendor_target(model, {}, PER_WORKER),
                vendor_configuration={"per_worker": PER_WORKER},
            )
        )
        return
    target = vendor_target(model, {}, PER_WORKER, existing.target)
    if target != existing.target:
        await tx.deployments.set_target(replace(existing, target=target))
