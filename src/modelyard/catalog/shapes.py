"""The catalog's files, field by field. Unknown fields are refused."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from modelyard.domain.models import ModelVendor
from modelyard.domain.parameters import ParameterType, Value
from modelyard.domain.templates import EndpointProtocol, EndpointType, ModelType

Text = Annotated[str, Meta(min_length=1)]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
Positive = Annotated[int, Meta(ge=1)]


class CardParameter(Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$")]
    type: ParameterType
    description: Text
    required: bool = False
    default: Value | None = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()


class Engine(Struct, frozen=True, forbid_unknown_fields=True):
    engine: Name
    title: Text
    description: Text
    model_types: Annotated[tuple[ModelType, ...], Meta(min_length=1)]
    protocol: EndpointProtocol
    healthcheck_route: Annotated[str, Meta(pattern=r"^/")]
    readiness_seconds: Positive
    parameters: tuple[CardParameter, ...]
    extra: str | None = None


class Scaling(Struct, frozen=True, forbid_unknown_fields=True):
    min_workers: Annotated[int, Meta(ge=0)]
    max_workers: Positive
    per_worker: Positive


class RequestParameter(Struct, frozen=True, forbid_unknown_fields=True):
    name: Text
    type: ParameterType
    description: Text
    required: bool = False


class Template(Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    description: Text
    engine: Name
    tag: Text
    model_type: ModelType
    endpoint_type: EndpointType
    scaling: Scaling
    request_parameters: tuple[RequestParameter, ...] = ()


class ModelDetails(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    number_of_parameters: Positive
    token_context_window: Positive
    languages: Positive | None = None
    alignments: int | None = None


class Metadata(Struct, frozen=True, forbid_unknown_fields=True, rename={"model_details": "modelDetails"}):
    """``base_model_metadata``, in the client's field names."""

    model_developer: Text
    model_license_url: Annotated[str, Meta(pattern=r"^https://")]
    delivery_date: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    model_details: ModelDetails
    ui_model_section_type: Literal["PARTNER", "OPENSOURCE", "CUSTOM"]


class Starter(Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    display_name: Text
    description: Text
    template: Name
    parameters: dict[str, Value]
    scaling: Scaling
    licence: Text
    metadata: Metadata
    model_card: Text
    training_data_card: Text


Day = Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class VendorPrice(Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars per token, as text: money is decimal."""

    since: Day
    input: str | None = None
    output: str | None = None
    cached_input: str | None = None
    reasoning: str | None = None
    prompt_above: Annotated[int, Meta(ge=0)] = 0


class VendorModel(Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    display_name: Text
    type: ModelType
    model: Text | None = None
    context_window: Positive | None = None
    max_output_tokens: Positive | None = None
    capabilities: tuple[str, ...] = ()
    prices: tuple[VendorPrice, ...] = ()
    deprecated: Day | None = None


class Vendor(Struct, frozen=True, forbid_unknown_fields=True):
    vendor: ModelVendor
    developer: Text
    models: Annotated[tuple[VendorModel, ...], Meta(min_length=1)]
