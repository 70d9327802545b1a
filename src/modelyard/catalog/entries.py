"""The catalog's entries, as the rest of modelyard sees them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, PLATFORM_USER_ID, IdentityType
from modelyard.domain.cards import EngineCard, schema_of
from modelyard.domain.models import Model, ModelVendor
from modelyard.domain.parameters import ParameterSchema, Value
from modelyard.domain.templates import (
    BUILT_IN_REGISTRY,
    BundleConfig,
    EndpointConfig,
    EndpointType,
    ModelType,
    Template,
)
from modelyard.domain.vendor_models import VendorModel


@dataclass(frozen=True, slots=True)
class TemplateEntry:
    """A built-in template. Its creation parameters are those of its engine's card, so the two cannot drift."""

    name: str
    description: str
    card: EngineCard
    tag: str
    """Raised when the bundle's workers have to be replaced after an upgrade."""
    model_type: ModelType
    endpoint_type: EndpointType
    endpoint: EndpointConfig
    request_schema: ParameterSchema = ParameterSchema()

    def template(self, id: str, created_at: datetime) -> Template:
        return Template(
            id=id,
            account_id=PLATFORM_ACCOUNT_ID,
            created_at=created_at,
            created_by_user_id=PLATFORM_USER_ID,
            created_by_identity_type=IdentityType.SERVICE_ACCOUNT,
            name=self.name,
            endpoint_type=self.endpoint_type,
            model_type=self.model_type,
            endpoint_protocol=self.card.protocol,
            bundle=BundleConfig(
                registry=BUILT_IN_REGISTRY,
                image=self.card.engine,
                tag=self.tag,
                healthcheck_route=self.card.healthcheck_route,
                readiness_initial_delay_seconds=self.card.readiness_seconds,
            ),
            endpoint=self.endpoint,
            creation_schema=schema_of(self.card),
            request_schema=self.request_schema,
        )


@dataclass(frozen=True, slots=True)
class Starter:
    """A model that is there from the first start, with its one immutable deployment of the same name."""

    name: str
    display_name: str
    description: str
    template: TemplateEntry
    parameters: Mapping[str, Value]
    min_workers: int
    max_workers: int
    per_worker: int
    licence: str
    """An SPDX identifier."""
    metadata: Mapping[str, Any]
    """``base_model_metadata`` in the client's own field names."""
    model_card: str
    training_data_card: str

    def model(self, id: str, template_id: str, created_at: datetime) -> Model:
        return Model(
            id=id,
            account_id=PLATFORM_ACCOUNT_ID,
            created_at=created_at,
            created_by_user_id=PLATFORM_USER_ID,
            created_by_identity_type=IdentityType.SERVICE_ACCOUNT,
            name=self.name,
            model_type=self.template.model_type,
            model_vendor=ModelVendor.LAUNCH,
            display_name=self.display_name,
            description=self.description,
            model_template_id=template_id,
            model_creation_parameters=dict(self.parameters),
            base_model_metadata=dict(self.metadata),
            model_card=self.model_card,
            training_data_card=self.training_data_card,
        )

    @property
    def weight_uris(self) -> tuple[str, ...]:
        """Everything that its worker fetches."""
        return tuple(
            str(self.parameters[parameter.name])
            for parameter in self.template.card.parameters
            if parameter.weights and self.parameters.get(parameter.name)
        )


@dataclass(frozen=True, slots=True)
class Catalog:
    templates: tuple[TemplateEntry, ...] = ()
    starters: tuple[Starter, ...] = ()
    cards: Mapping[str, EngineCard] = field(default_factory=dict)
    """By the engine's name."""
    vendor_models: tuple[VendorModel, ...] = ()
