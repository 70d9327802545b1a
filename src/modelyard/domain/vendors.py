"""Vendors' models: where and how one is called, and with which access."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from urllib.parse import urlsplit

from modelyard.domain.accounts import IdentityType
from modelyard.domain.models import ModelVendor
from modelyard.domain.parameters import Value
from modelyard.errors import FieldError

BASE_URLS: Mapping[ModelVendor, str] = MappingProxyType(
    {
        ModelVendor.OPENAI: "https://api.openai.com/v1",
        ModelVendor.ANTHROPIC: "https://api.anthropic.com",
        ModelVendor.COHERE: "https://api.cohere.com",
        ModelVendor.GOOGLE: "https://generativelanguage.googleapis.com",
        ModelVendor.FIREWORKS_AI: "https://api.fireworks.ai/inference/v1",
        ModelVendor.VERTEX_AI: "https://{location}-aiplatform.googleapis.com",
        ModelVendor.BEDROCK: "https://bedrock-runtime.{region}.amazonaws.com",
    }
)
"""Vendors' own addresses; OTHER and LLMENGINE have none."""

VENDORS = (*BASE_URLS, ModelVendor.LLMENGINE, ModelVendor.OTHER)

LIMITS_MODELS = frozenset(
    {
        ModelVendor.OPENAI,
        ModelVendor.ANTHROPIC,
        ModelVendor.GOOGLE,
        ModelVendor.VERTEX_AI,
        ModelVendor.BEDROCK,
    }
)
"""Vendors that bound each model's rate by itself. The others bound a whole key's, or do not say."""


@dataclass(frozen=True, slots=True)
class VendorTarget:
    """What an adapter and its credentials need to know of one vendor's model."""

    vendor: ModelVendor
    model: str
    """The vendor's own name for it."""
    base_url: str
    """As in ``https://api.anthropic.com``, without a slash at its end; adapters' paths are relative to it."""
    max_output_tokens: int | None = None
    parameters: Mapping[str, Value] = field(default_factory=dict)
    """What else the vendor's addresses need, such as ``project`` and ``location``, ``region``."""
    own_address: bool = False
    """Whether the model itself names ``base_url``: no key that is meant for another address is sent there."""
    credential: str | None = None
    """The name of its account's credential that it is called with; None: any that fits."""
    reasoning: bool = False
    """Whether it thinks before it answers."""


@dataclass(frozen=True, slots=True)
class VendorKey:
    """One access to a vendor, ready to use."""

    id: str
    """Stable, and no secret: what is counted against it is kept under this."""
    vendor: ModelVendor
    base_url: str
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """By the names in `SECRETS`; none for a server that asks for none."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """``project``, ``location``, ``region``."""
    guarded: bool = False
    """Whether an account named ``base_url``, so that it is called in public networks only."""


@dataclass(frozen=True, slots=True)
class VendorCredential:
    """An account's own access to a vendor, as it is kept."""

    id: str
    account_id: str
    created_at: datetime
    created_by_user_id: str
    created_by_identity_type: IdentityType
    name: str
    vendor: ModelVendor
    sealed: str = field(repr=False)
    """The secrets as one encrypted JSON object."""
    masked: str
    """As much of the secret as people need to know it again."""
    base_url: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


SECRETS: Mapping[ModelVendor, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(VENDORS, ("api_key",)),
        ModelVendor.VERTEX_AI: ("service_account",),
        ModelVendor.BEDROCK: ("access_key_id", "secret_access_key", "session_token", "bearer_token"),
    }
)
"""The secrets that a vendor's access consists of."""

PARAMETERS: Mapping[ModelVendor, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(VENDORS, ()),
        ModelVendor.VERTEX_AI: ("project", "location"),
        ModelVendor.BEDROCK: ("region",),
    }
)
"""What is no secret, and part of a vendor's address."""


def check_access(
    vendor: ModelVendor, secrets: Mapping[str, str], parameters: Mapping[str, str], base_url: str | None
) -> Iterator[FieldError]:
    """Everything wrong with an account's access to ``vendor``, by field."""
    for name in sorted(secrets.keys() - SECRETS[vendor]):
        yield FieldError(("body", name), f"{vendor} has no such secret; it has {_listed(SECRETS[vendor])}", "unknown")
    for name in sorted(parameters.keys() - PARAMETERS[vendor]):
        yield FieldError(("body", name), f"is none of {vendor}", "unknown")
    needed = _needed(vendor, secrets)
    for name in needed:
        if name not in secrets:
            yield FieldError(("body", name), f"is what {vendor} is called with", "missing")
    for name in secrets.keys() & set(SECRETS[vendor]):
        if name != "service_account" and not is_token(secrets[name]):
            yield FieldError(("body", name), "must be printable ASCII without spaces, as the vendor gave it")
    yield from check_base_url(base_url, "body", "base_url")
    if base_url is None and vendor not in BASE_URLS:
        yield FieldError(("body", "base_url"), f"is needed for {vendor}, which has no address of its own", "missing")
    if vendor is ModelVendor.BEDROCK and "region" not in parameters:
        yield FieldError(("body", "region"), "is needed for BEDROCK, as in us-east-1", "missing")


def _needed(vendor: ModelVendor, secrets: Mapping[str, str]) -> tuple[str, ...]:
    if vendor is not ModelVendor.BEDROCK:
        return SECRETS[vendor]
    return ("bearer_token",) if "bearer_token" in secrets else ("access_key_id", "secret_access_key")


def is_token(text: str) -> bool:
    """Whether ``text`` can be sent in a header as it is, as vendors' secrets are."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def check_base_url(base_url: str | None, *loc: str | int) -> Iterator[FieldError]:
    if base_url is None:
        return
    try:
        url = urlsplit(base_url)
        fine = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
        fine = fine and not (url.query or url.fragment or url.username or url.password)
    except ValueError:
        fine = False
    if not fine or not is_token(base_url):
        yield FieldError(loc, "must be an address such as https://models.example.com/v1, without query or password")


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(names) if len(names) < 3 else ", ".join(names)


def masked(secrets: Mapping[str, str]) -> str:
    """The last four characters of the first secret that is long enough to lose them."""
    for secret in secrets.values():
        if len(secret) >= 16 and not secret.lstrip().startswith("{"):
            return f"********{secret[-4:]}"
    return "********"
