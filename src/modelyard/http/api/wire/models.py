"""Models on the wire: the official client's ``model_create_params`` and ``model_instance_with_views``."""

from typing import Annotated, Any, Literal

from pydantic import MISSING, Field

from modelyard.domain.models import ModelVendor
from modelyard.domain.templates import ModelType
from modelyard.http.api.wire.common import (
    MAX_INT,
    Body,
    Choice,
    Fallbacks,
    Id,
    ListQuery,
    Name,
    Owned,
    Text,
)
from modelyard.http.api.wire.deployments import DeploymentAnswer
from modelyard.http.api.wire.groups import ModelGroupAnswer

Amount = Annotated[int, Field(ge=0, le=MAX_INT)]


class ModelDetails(Body):
    alignments: Amount | None = None
    languages: Amount | None = None
    number_of_parameters: Amount | None = None
    token_context_window: Annotated[int, Field(ge=1, le=MAX_INT)] | None = None
    """Tokens that prompt and answer may hold together."""


class BaseModelMetadata(Body):
    delivery_date: Text | None = None
    model_developer: Text | None = None
    model_license_url: Text | None = None
    modelDetails: ModelDetails | None = None
    ui_model_section_type: Literal["PARTNER", "OPENSOURCE", "CUSTOM"] | None = None


class ModelCreate(Body):
    account_id: Id | None = None
    name: Name
    model_type: Choice[ModelType]
    model_vendor: Choice[ModelVendor] | None = None
    model_template_id: Id | None = None
    model_creation_parameters: dict[str, Any] | None = None
    display_name: Text | None = None
    description: Text | None = None
    model_group_id: Id | None = None
    base_model_id: Text | None = None
    base_model_metadata: BaseModelMetadata | None = None
    model_card: Text | None = None
    training_data_card: Text | None = None
    fallbacks: Fallbacks | None = None
    """Our own: ids or names of deployments that answer, in this order, where this model's cannot."""


class ModelChange(Body):
    """Only what is sent changes; null empties an optional field."""

    name: Name | MISSING = MISSING
    model_type: Choice[ModelType] | MISSING = MISSING
    model_vendor: Choice[ModelVendor] | None = None
    model_template_id: Id | None = None
    model_creation_parameters: dict[str, Any] | None = None
    """As a whole: parameters that are not among these are gone."""
    display_name: Text | None = None
    description: Text | None = None
    model_group_id: Id | None = None
    base_model_id: Text | None = None
    base_model_metadata: BaseModelMetadata | None = None
    model_card: Text | None = None
    training_data_card: Text | None = None
    fallbacks: Fallbacks | None = None
    """Our own: as a whole; null or an empty list: none any more."""


class ViewQuery(Body):
    view: Annotated[list[str], Field(max_length=10, default_factory=list)]
    """``Deployments`` and/or ``ModelGroup``; joined by commas, or repeated."""


class ModelQuery(ListQuery):
    model_group_id: Id | None = None
    """Only models of this group."""
    model_type: Choice[ModelType] | None = None
    view: Annotated[list[str], Field(max_length=10, default_factory=list)]
    """``Deployments`` and/or ``ModelGroup``; joined by commas, or repeated."""


class ModelAnswer(Owned):
    name: str
    model_type: ModelType
    model_vendor: ModelVendor | None
    model_template_id: str | None
    model_creation_parameters: dict[str, Any]
    display_name: str | None
    description: str | None
    model_group_id: str | None
    base_model_id: str | None
    base_model_metadata: dict[str, Any] | None
    model_card: str | None
    training_data_card: str | None
    fallbacks: list[str]
    """Our own: ids of the deployments that answer, in this order, where this model's cannot."""
    deployment_count: int
    request_schema: dict[str, Any]
    response_schema: dict[str, Any]
    supports_multi_turn: bool
    deployments: list[DeploymentAnswer] | None = None
    """Where the view Deployments is asked for."""
    model_group: ModelGroupAnswer | None = None
    """Where the view ModelGroup is asked for, and there is one."""
