"""What vendors are called with: the settings' keys and accounts' own, opened, in memory, by vendor and account.

A key is sent to one address only: the one its owner gave with it, or else the vendor's own. A model that names an
address of its own is called with keys that were given for that address, and with no others.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import structlog
from pydantic import SecretStr

from modelyard.control.vault import Sealed, Vault
from modelyard.domain.models import ModelVendor
from modelyard.domain.vendors import BASE_URLS, VendorCredential, VendorKey, VendorTarget, check_base_url, is_token
from modelyard.errors import ConfigurationError, UpstreamError
from modelyard.settings import BedrockSettings, VendorSettings, VendorsSettings, VertexSettings

log = structlog.get_logger(__name__)

_KEYLESS = (ModelVendor.OTHER, ModelVendor.LLMENGINE)
"""Whose servers may ask for no key."""


class VendorKeys:
    """A `modelyard.gateway.ports.VendorCredentials`."""

    def __init__(self, settings: VendorsSettings, vault: Vault, *, guarded: bool = True) -> None:
        """``guarded``: accounts' own addresses are called in public networks only."""
        self._vault = vault
        self._guarded = guarded
        self._ours: dict[ModelVendor, list[VendorKey]] = {}
        for key in settings_keys(settings):
            self._ours.setdefault(key.vendor, []).append(key)
        self._known: dict[str, VendorKey] = {}
        self._theirs: dict[tuple[str, ModelVendor], list[tuple[str, VendorKey]]] = {}

    def load(self, credentials: Sequence[VendorCredential]) -> None:
        """Take these for accounts' own from now on. One that cannot be opened is left out, and the log says so."""
        theirs: dict[tuple[str, ModelVendor], list[tuple[str, VendorKey]]] = {}
        # Routes are read anew whenever a worker comes or goes; credentials seldom change meanwhile.
        known, self._known = self._known, {}
        for credential in credentials:
            try:
                key = known.get(credential.sealed) or self._opened(credential)
                self._known[credential.sealed] = key
            except Sealed as error:
                log.error("a vendor credential cannot be used", credential=credential.id, why=str(error))
                continue
            theirs.setdefault((credential.account_id, credential.vendor), []).append((credential.name, key))
        self._theirs = theirs

    def keys(self, target: VendorTarget, account_id: str) -> Sequence[VendorKey]:
        """The keys that may be used for ``target`` by ``account_id``, its own before the installation's. Raises
        `UpstreamError` (vendor_credentials_missing) where there are none."""
        theirs = self._theirs.get((account_id, target.vendor), [])
        if target.credential is not None:
            named = [key for name, key in theirs if name == target.credential]
            fitting = [key for key in named if not target.own_address or key.base_url == target.base_url]
            if not fitting:
                raise _missing_named(target, known=bool(named))
            return fitting
        if target.own_address:
            every = [*(key for _, key in theirs), *self._ours.get(target.vendor, ())]
            fitting = [key for key in every if key.base_url == target.base_url]
            if not fitting and target.vendor in _KEYLESS:
                none = f"none:{target.base_url}"
                return (VendorKey(none, target.vendor, target.base_url, guarded=self._guarded),)
        else:
            fitting = [key for _, key in theirs] or self._ours.get(target.vendor, [])
        if not fitting:
            raise _missing(target)
        return fitting

    def _opened(self, credential: VendorCredential) -> VendorKey:
        secrets = json.loads(self._vault.unseal(credential.sealed))
        parameters = {**_project(secrets), **credential.parameters}
        base_url = _address(credential.vendor, credential.base_url, parameters)
        guarded = self._guarded and credential.base_url is not None
        return VendorKey(credential.id, credential.vendor, base_url, secrets, parameters, guarded)


def settings_keys(settings: VendorsSettings) -> Iterator[VendorKey]:
    """Every key that the settings give; for servers that need none, one without secrets. Raises `ConfigurationError`
    naming a setting that cannot be used."""
    for vendor, group in groups(settings):
        _check(f"MODELYARD_VENDORS__{vendor}", group)
        if isinstance(group, BedrockSettings):
            yield from _bedrock(group)
        elif isinstance(group, VertexSettings):
            yield from _vertex(group)
        elif group.base_url or vendor in BASE_URLS:
            yield from _plain(vendor, group, f"settings:{vendor}")
    for name, group in settings.others.items():
        _check(f"MODELYARD_VENDORS__OTHERS__{name.upper()}", group)
        yield from _plain(ModelVendor.OTHER, group, f"settings:OTHER:{name}")


def _check(setting: str, group: VendorSettings) -> None:
    for error in check_base_url(group.base_url or None, "base_url"):
        raise ConfigurationError(f"{setting}__BASE_URL {error.msg}.")
    for name in type(group).model_fields:
        value = getattr(group, name)
        if isinstance(value, SecretStr) and not all(map(is_token, filter(None, _several(value)))):
            raise ConfigurationError(f"{setting}__{name.upper()} must be printable ASCII without spaces.")


def groups(settings: VendorsSettings) -> Iterator[tuple[ModelVendor, VendorSettings]]:
    """Each vendor's settings."""
    for name in type(settings).model_fields:
        group = getattr(settings, name)
        if isinstance(group, VendorSettings):
            yield ModelVendor(name.upper()), group


def _plain(vendor: ModelVendor, group: VendorSettings, id_: str) -> Iterator[VendorKey]:
    base_url = _address(vendor, group.base_url, {})
    keys = list(filter(None, _several(group.api_key)))
    for number, key in enumerate(keys):
        yield VendorKey(f"{id_}:{number}", vendor, base_url, {"api_key": key})
    if not keys and vendor in _KEYLESS:
        yield VendorKey(id_, vendor, base_url)


def _vertex(group: VertexSettings) -> Iterator[VendorKey]:
    if group.credentials_file is None and not group.project:
        return
    secrets = {} if group.credentials_file is None else {"service_account": _read(group.credentials_file)}
    named = {"project": group.project} if group.project else _project(secrets)
    parameters = {"location": group.location, **named}
    base_url = _address(ModelVendor.VERTEX_AI, group.base_url, parameters)
    yield VendorKey("settings:VERTEX_AI", ModelVendor.VERTEX_AI, base_url, secrets, parameters)


def _read(path: Path) -> str:
    try:
        text = path.read_text("utf-8")
        json.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"MODELYARD_VENDORS__VERTEX_AI__CREDENTIALS_FILE: {path} is no readable key file: {error}."
        ) from error
    return text


def _project(secrets: Mapping[str, str]) -> dict[str, str]:
    """The project that a service account's key file names."""
    parsed = json.loads(secrets["service_account"]) if "service_account" in secrets else {}
    project = parsed.get("project_id") if isinstance(parsed, dict) else None
    return {"project": project} if isinstance(project, str) and project else {}


_ACCESS_KEY = ("access_key_id", "secret_access_key")


def _bedrock(group: BedrockSettings) -> Iterator[VendorKey]:
    if not group.region:
        return
    names = ("bearer_token",) if group.bearer_token else (*_ACCESS_KEY, "session_token")
    secrets = {name: text for name in names if (text := _secret(getattr(group, name)))}
    for name, other in (_ACCESS_KEY, _ACCESS_KEY[::-1]):
        if name in secrets and other not in secrets:
            setting = "MODELYARD_VENDORS__BEDROCK__"
            raise ConfigurationError(f"{setting}{name.upper()} is set, but {setting}{other.upper()} is not.")
    if "bearer_token" in secrets or "access_key_id" in secrets:
        parameters = {"region": group.region}
        base_url = _address(ModelVendor.BEDROCK, group.base_url, parameters)
        yield VendorKey("settings:BEDROCK", ModelVendor.BEDROCK, base_url, secrets, parameters)


def _address(vendor: ModelVendor, base_url: str | None, parameters: dict[str, str]) -> str:
    """The address a key is for; what is in braces is filled in when it is called."""
    if base_url:
        return base_url.rstrip("/")
    if vendor is ModelVendor.VERTEX_AI and parameters.get("location") == "global":
        return "https://aiplatform.googleapis.com"
    return BASE_URLS.get(vendor, "")


def _several(value: SecretStr | None) -> Iterator[str]:
    return map(str.strip, _secret(value).split(","))


def _secret(value: SecretStr | None) -> str:
    return "" if value is None else value.get_secret_value().strip()


_SETTING = {
    ModelVendor.VERTEX_AI: "MODELYARD_VENDORS__VERTEX_AI__PROJECT or __CREDENTIALS_FILE",
    ModelVendor.BEDROCK: "MODELYARD_VENDORS__BEDROCK__REGION and __BEARER_TOKEN (or an access key)",
    ModelVendor.OTHER: "MODELYARD_VENDORS__OTHER__BASE_URL",
    ModelVendor.LLMENGINE: "MODELYARD_VENDORS__LLMENGINE__BASE_URL",
}


def _missing(target: VendorTarget) -> UpstreamError:
    if target.own_address:
        return UpstreamError(
            f"There is no credential for {target.vendor} at {target.base_url}.",
            code="vendor_credentials_missing",
            hint="Store one with this base_url: POST /v4/vendor-credentials.",
        )
    setting = _SETTING.get(target.vendor, f"MODELYARD_VENDORS__{target.vendor}__API_KEY")
    return UpstreamError(
        f"There are no credentials for {target.vendor}.",
        code="vendor_credentials_missing",
        hint=f"Set {setting}, or store the account's own: POST /v4/vendor-credentials.",
    )


def _missing_named(target: VendorTarget, *, known: bool) -> UpstreamError:
    if known:
        return UpstreamError(
            f"The vendor credential '{target.credential}' is for another address than the model's {target.base_url}.",
            code="vendor_credentials_missing",
            hint="Store one with that base_url: POST /v4/vendor-credentials.",
        )
    return UpstreamError(
        f"The model's account has no vendor credential '{target.credential}' for {target.vendor}.",
        code="vendor_credentials_missing",
        hint="Store it with that name: POST /v4/vendor-credentials.",
    )
