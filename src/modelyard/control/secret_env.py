"""Environment variables of templates that are secret: sealed from the moment they come in until a worker is started."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from modelyard.control.vault import Sealed, Vault
from modelyard.domain.revisions import MASK
from modelyard.domain.templates import BundleConfig
from modelyard.errors import FieldError, InvalidRequest, LaunchError, NotFound
from modelyard.store import Store

_PLACE = ("body", "vendor_configuration", "bundle_config", "secret_env")
_BATCH = 100
_SHORTEST = 4
"""Shorter ones are not looked for in text: they would be found everywhere."""


def sealed(bundle: BundleConfig, vault: Vault, before: BundleConfig | None = None) -> BundleConfig:
    """``bundle`` with every value of ``secret_env`` sealed. What is what it was in ``before`` (sealed as it was, masked
    as it is shown, or the same value again) stays as it was, so that no worker rolls over for it."""
    kept = {} if before is None else before.secret_env
    errors = [
        FieldError((*_PLACE, name), "is masked; send the value itself, or leave this variable out")
        for name, value in bundle.secret_env.items()
        if value == MASK and name not in kept
    ]
    if errors:
        raise InvalidRequest(errors, code="invalid_template")
    values = {name: _sealed(value, kept.get(name), vault) for name, value in bundle.secret_env.items()}
    return replace(bundle, secret_env=values)


def _sealed(value: str, kept: str | None, vault: Vault) -> str:
    if kept is not None and (value in (kept, MASK) or _opens_to(kept, value, vault)):
        return kept
    return vault.seal(value)


def _opens_to(kept: str, value: str, vault: Vault) -> bool:
    try:
        return vault.unseal(kept) == value
    except Sealed:
        return False


def opened(bundle: BundleConfig, vault: Vault | None) -> dict[str, str]:
    """The values themselves, for a worker that starts now; `LaunchError` where they cannot be read."""
    if not bundle.secret_env:
        return {}
    if vault is None:
        raise LaunchError("This server has no key for the secrets of templates.")
    try:
        return {name: vault.unseal(value) for name, value in bundle.secret_env.items()}
    except Sealed as error:
        raise LaunchError(f"The template's secret_env cannot be read. {error}") from error


async def renew_secret_env(store: Store, vault: Vault) -> int:
    """Seal with the vault's first key what an earlier one sealed, in templates and in what deployments were made of;
    how many of these that was. No worker is replaced for it. What no key opens is left as it is."""
    async with store.read() as tx:
        templates = [each for each in await tx.templates.with_secrets() if _is_old(each.bundle, vault)]
        revisions = [each for each in await tx.revisions.with_secrets() if _is_old(each.snapshot.bundle, vault)]
    for template in templates:
        with contextlib.suppress(NotFound):  # gone meanwhile
            async with store.begin() as tx:
                current = await tx.templates.get(template.id, None)
                await tx.templates.replace(replace(current, bundle=_renewed(current.bundle, vault)))
    for start in range(0, len(revisions), _BATCH):
        async with store.begin() as tx:
            for each in revisions[start : start + _BATCH]:
                snapshot = replace(each.snapshot, bundle=_renewed(each.snapshot.bundle, vault))
                await tx.revisions.reseal(replace(each, snapshot=snapshot))
    return len(templates) + len(revisions)


def _is_old(bundle: BundleConfig, vault: Vault) -> bool:
    return _renewed(bundle, vault) != bundle


def _renewed(bundle: BundleConfig, vault: Vault) -> BundleConfig:
    values = {name: _sealed_anew(value, vault) for name, value in bundle.secret_env.items()}
    return replace(bundle, secret_env=values)


def _sealed_anew(value: str, vault: Vault) -> str:
    if vault.is_renewed(value):
        return value
    try:
        return vault.renewed(value)
    except Sealed:
        return value


def without(text: str, secrets: Iterable[str]) -> str:
    """``text`` with every secret in it masked, the longest first."""
    for secret in sorted({each for each in secrets if len(each) >= _SHORTEST}, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def secrets_of(bundles: Iterable[BundleConfig], vault: Vault | None) -> set[str]:
    """All values of these bundles that can be read, to look for them in what workers say."""
    found: set[str] = set()
    for sealed_values in {tuple(bundle.secret_env.values()) for bundle in bundles if bundle.secret_env}:
        for value in sealed_values:
            try:
                found |= set() if vault is None else {vault.unseal(value)}
            except Sealed:
                continue
    return found


def masked(secret_env: Mapping[str, str]) -> dict[str, str]:
    """As it is shown: which variables there are."""
    return dict.fromkeys(secret_env, MASK)
