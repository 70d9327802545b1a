"""What owners write of an entity: all of it but who made it, when, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from modelyard.domain.deployments import Deployment
from modelyard.domain.models import Model, ModelVendor
from modelyard.domain.parameters import ParameterSchema
from modelyard.domain.templates import (
    BundleConfig,
    EndpointConfig,
    EndpointProtocol,
    EndpointType,
    ModelType,
    Template,
)


@dataclass(frozen=True, slots=True)
class TemplateDraft:
    name: str
    endpoint_type: EndpointType
    model_type: ModelType
    endpoint_protocol: EndpointProtocol
    bundle: BundleConfig
    endpoint: EndpointConfig = EndpointConfig()
    fine_tuning: Mapping[str, Any] | None = None
    creation_schema: ParameterSchema = ParameterSchema()
    request_schema: ParameterSchema = ParameterSchema()

    @classmethod
    def of(cls, template: Template) -> "TemplateDraft":
        return cls(**_common(cls, template))

    def values(self) -> dict[str, Any]:
        return _common(TemplateDraft, self)

    def onto(self, template: Template) -> Template:
        return replace(template, **self.values())


@dataclass(frozen=True, slots=True)
class ModelDraft:
    name: str
    model_type: ModelType
    model_vendor: ModelVendor | None = None
    display_name: str | None = None
    description: str | None = None
    model_template_id: str | None = None
    model_creation_parameters: Mapping[str, Any] = field(default_factory=dict)
    model_group_id: str | None = None
    base_model_id: str | None = None
    base_model_metadata: Mapping[str, Any] | None = None
    model_card: str | None = None
    training_data_card: str | None = None
    fallbacks: tuple[str, ...] = ()
    """Ids or names of deployments."""

    @classmethod
    def of(cls, model: Model) -> "ModelDraft":
        return cls(**_common(cls, model))

    def values(self) -> dict[str, Any]:
        return _common(ModelDraft, self)

    def onto(self, model: Model) -> Model:
        return replace(model, **self.values())


@dataclass(frozen=True, slots=True)
class DeploymentDraft:
    name: str
    vendor_configuration: Mapping[str, Any] = field(default_factory=dict)
    """As sent, None where a field was sent as null."""
    model_creation_parameters: Mapping[str, Any] = field(default_factory=dict)
    deployment_metadata: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, deployment: Deployment) -> "DeploymentDraft":
        return cls(**_common(cls, deployment))


def _common(names: type, source: object) -> dict[str, Any]:
    return {field.name: getattr(source, field.name) for field in fields(names)}
