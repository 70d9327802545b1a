"""Models of vendors: what one is made from, and what the catalog knows of those that ship with modelyard."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from modelyard.domain.models import Model, ModelVendor
from modelyard.domain.parameters import Parameter, ParameterSchema, ParameterType, Value, check_values
from modelyard.domain.templates import ModelType
from modelyard.domain.vendors import BASE_URLS, PARAMETERS, VENDORS, VendorTarget, check_base_url
from modelyard.errors import FieldError

TYPES = (ModelType.CHAT_COMPLETION, ModelType.COMPLETION, ModelType.EMBEDDING, ModelType.RERANKING)
"""What vendors are called for."""

_TEXTS = (ModelType.CHAT_COMPLETION, ModelType.COMPLETION)
_TEXTS_AND_VECTORS = (*_TEXTS, ModelType.EMBEDDING)

TYPES_OF: Mapping[ModelVendor, tuple[ModelType, ...]] = {
    **dict.fromkeys(VENDORS, TYPES),
    ModelVendor.ANTHROPIC: _TEXTS,
    ModelVendor.OPENAI: _TEXTS_AND_VECTORS,
    ModelVendor.GOOGLE: _TEXTS_AND_VECTORS,
    ModelVendor.VERTEX_AI: _TEXTS_AND_VECTORS,
}
"""What each is called for; a plain completion is a chat of one message with those that only chat."""

PER_WORKER = 1000
"""Concurrent calls of one vendor's deployment, where nobody says less: the vendor's own limits come first."""

_PARAMETERS = (
    ("model", ParameterType.STR, "The vendor's own name for the model", True),
    ("base_url", ParameterType.STR, "Another address than the vendor's own", False),
    ("credential", ParameterType.STR, "The name of the account's vendor credential that it is called with", False),
    ("context_window", ParameterType.INT, "Tokens that prompt and answer may have together", False),
    ("max_output_tokens", ParameterType.INT, "Tokens that an answer may have", False),
    ("images", ParameterType.BOOL, "Whether it reads images", False),
    ("reasoning", ParameterType.BOOL, "Whether it thinks before it answers, and so takes no temperature", False),
)
_PLACES = {
    "project": "The Google Cloud project that is called",
    "location": "The Google Cloud region that is called",
    "region": "The AWS region that is called",
}

_OWN: Mapping[ModelVendor, Mapping[str, str]] = {
    ModelVendor.BEDROCK: {"base_model": "The id of the model behind an ARN that does not tell it"},
}
"""What only one vendor's models are made with."""


@dataclass(frozen=True, slots=True)
class Price:
    """What one token costs in US dollars, from a day on. None: nothing is known, which is not nothing."""

    since: date
    input: Decimal | None = None
    output: Decimal | None = None
    cached_input: Decimal | None = None
    """Of the input: what was read from a cache."""
    reasoning: Decimal | None = None
    """Of the output: what was spent on thinking; None: as the rest of it."""
    prompt_above: int = 0
    """For prompts of more tokens than this."""


@dataclass(frozen=True, slots=True)
class VendorModel:
    """A vendor's model that ships with modelyard, present wherever the vendor has credentials."""

    vendor: ModelVendor
    name: str
    model: str
    model_type: ModelType
    display_name: str
    developer: str
    context_window: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[str] = frozenset()
    prices: tuple[Price, ...] = ()
    deprecated: date | None = None
    """The day from which the vendor advises against it, or answers no more."""
    base_url: str | None = None
    """Where it is called, if not where all of its vendor's are."""

    @property
    def parameters(self) -> dict[str, Value]:
        """The creation parameters of its model."""
        known: dict[str, Value | None] = {
            "model": self.model,
            "context_window": self.context_window,
            "max_output_tokens": self.max_output_tokens,
            "base_url": self.base_url,
            "images": True if "images" in self.capabilities else None,
            "reasoning": True if "reasoning" in self.capabilities else None,
        }
        return {name: value for name, value in known.items() if value is not None}


def price_on(prices: tuple[Price, ...], day: date, prompt_tokens: int = 0) -> Price | None:
    """The price in effect on ``day`` for a prompt of that many tokens; None where none is known."""
    current = [each for each in prices if each.since <= day and each.prompt_above < max(prompt_tokens, 1)]
    return max(current, key=lambda price: (price.since, price.prompt_above), default=None)


def is_vendors(model: Model) -> bool:
    """Whether a vendor answers for ``model``, so that it is made from no template and has no workers."""
    return model.model_template_id is None and model.model_vendor in VENDORS


def schema_for(vendor: ModelVendor) -> ParameterSchema:
    """``model_creation_parameters`` of a vendor's model."""
    words = {name: _PLACES[name] for name in PARAMETERS[vendor]} | dict(_OWN.get(vendor, {}))
    places = tuple(Parameter(name, ParameterType.STR, text, False) for name, text in words.items())
    return ParameterSchema((*(Parameter(*each) for each in _PARAMETERS), *places))


def check_vendor_model(
    vendor: ModelVendor, values: Mapping[str, object], *loc: str | int, partial: bool = False
) -> list[FieldError]:
    """Everything wrong with a vendor's model's creation parameters, each with its place."""
    if "api_key" in values:
        # It would be shown to everybody who may read the model.
        msg = "a key is a secret: store it with POST /v4/vendor-credentials, and name it in the parameter credential"
        return [FieldError((*loc, "api_key"), msg, "secret")]
    errors = check_values(schema_for(vendor), values, *loc, partial=partial)
    return errors or list(_check_known(vendor, values, *loc, partial=partial))


def _check_known(
    vendor: ModelVendor, values: Mapping[str, object], *loc: str | int, partial: bool
) -> Iterator[FieldError]:
    for name in ("model", "credential", *PARAMETERS[vendor], *_OWN.get(vendor, ())):
        if values.get(name) == "":
            yield FieldError((*loc, name), "must not be empty")
    for name in ("context_window", "max_output_tokens"):
        number = values.get(name)
        if isinstance(number, int) and number < 1:
            yield FieldError((*loc, name), "must be at least 1")
    base_url = values.get("base_url")
    yield from check_base_url(None if base_url is None else str(base_url), *loc, "base_url")


def target_of(vendor: ModelVendor, values: Mapping[str, Value], base_url: str | None) -> VendorTarget:
    """How the model with these parameters is called; ``base_url`` is this installation's for the vendor."""
    own, limit, credential = values.get("base_url"), values.get("max_output_tokens"), values.get("credential")
    return VendorTarget(
        vendor=vendor,
        model=str(values.get("model", "")),
        base_url=str(own or base_url or BASE_URLS.get(vendor, "")).rstrip("/"),
        max_output_tokens=limit if isinstance(limit, int) else None,
        parameters={name: values[name] for name in (*PARAMETERS[vendor], *_OWN.get(vendor, ())) if name in values},
        own_address=own is not None,
        credential=None if credential is None else str(credential),
        reasoning=values.get("reasoning") is True,
    )
