"""Templates, to and from the wire."""

from dataclasses import fields, replace
from typing import Any

from pydantic import MISSING, BaseModel

from modelyard.control.drafts import TemplateDraft
from modelyard.control.secret_env import masked
from modelyard.domain.parameters import Parameter, ParameterSchema
from modelyard.domain.specs import DEFAULT_MAX_WORKERS, DEFAULT_MIN_WORKERS, DEFAULT_PER_WORKER
from modelyard.domain.templates import BundleConfig, EndpointConfig, EndpointProtocol, Template
from modelyard.http.api.wire import templates as wire


def draft(body: wire.TemplateCreate) -> TemplateDraft:
    """What a POST asks for."""
    configuration = body.vendor_configuration
    return TemplateDraft(
        name=body.name,
        endpoint_type=body.endpoint_type,
        model_type=body.model_type,
        endpoint_protocol=body.endpoint_protocol or EndpointProtocol.SGP,
        bundle=BundleConfig(**_bundle(configuration.bundle_config)),
        endpoint=EndpointConfig(**_given(configuration.endpoint_config)),
        fine_tuning=_fine_tuning(configuration.fine_tuning_job_bundle_config),
        creation_schema=_schema(body.model_creation_parameters_schema),
        request_schema=_schema(body.model_request_parameters_schema),
    )


def changed(template: Template, body: wire.TemplateChange) -> TemplateDraft:
    """``template`` with what a PATCH sent: fields not sent stay, inside vendor_configuration too; null takes a
    field back to its default."""
    sent = body.model_fields_set
    new: dict[str, Any] = {
        name: getattr(body, name) for name in ("name", "endpoint_type", "model_type") if name in sent
    }
    if "endpoint_protocol" in sent:
        new["endpoint_protocol"] = body.endpoint_protocol or EndpointProtocol.SGP
    if "model_creation_parameters_schema" in sent:
        new["creation_schema"] = _schema(body.model_creation_parameters_schema)
    if "model_request_parameters_schema" in sent:
        new["request_schema"] = _schema(body.model_request_parameters_schema)
    if body.vendor_configuration is not MISSING:
        new |= _changed_configuration(template, body.vendor_configuration)
    return replace(TemplateDraft.of(template), **new)


def _changed_configuration(template: Template, body: wire.VendorConfigurationChange) -> dict[str, Any]:
    sent = body.model_fields_set
    new: dict[str, Any] = {}
    if body.bundle_config is not MISSING:
        new["bundle"] = replace(template.bundle, **_bundle(body.bundle_config))
    if "endpoint_config" in sent:
        config = body.endpoint_config
        new["endpoint"] = EndpointConfig() if config is None else replace(template.endpoint, **_sent(config))
    if "fine_tuning_job_bundle_config" in sent:
        new["fine_tuning"] = _fine_tuning(body.fine_tuning_job_bundle_config)
    return new


def _sent(body: BaseModel | None) -> dict[str, Any]:
    return {} if body is None else {name: getattr(body, name) for name in body.model_fields_set}


def _given(body: BaseModel | None) -> dict[str, Any]:
    return {name: value for name, value in _sent(body).items() if value is not None}


def _bundle(body: wire.Bundle | wire.BundleChange) -> dict[str, Any]:
    defaults = BundleConfig(registry="", image="", tag="")
    values = {name: getattr(defaults, name) if value is None else value for name, value in _sent(body).items()}
    for name in ("command", "streaming_command"):
        if name in values:
            values[name] = tuple(values[name])
    return values


def _fine_tuning(body: wire.FineTuningBundle | None) -> dict[str, Any] | None:
    return None if body is None else body.model_dump(mode="json", exclude_unset=True)


def _schema(body: wire.Parameters | None) -> ParameterSchema:
    if body is None:
        return ParameterSchema()
    return ParameterSchema(tuple(Parameter(p.name, p.type, p.description, p.required) for p in body.parameters))


def answer(template: Template) -> wire.TemplateAnswer:
    bundle = {field.name: getattr(template.bundle, field.name) for field in fields(template.bundle)}
    return wire.TemplateAnswer(
        id=template.id,
        account_id=template.account_id,
        created_at=template.created_at,
        created_by_user_id=template.created_by_user_id,
        created_by_identity_type=template.created_by_identity_type,
        name=template.name,
        endpoint_type=template.endpoint_type,
        model_type=template.model_type,
        endpoint_protocol=template.endpoint_protocol,
        vendor_configuration=wire.VendorConfigurationAnswer(
            bundle_config=wire.BundleAnswer(
                **{
                    **bundle,
                    "command": list(template.bundle.command),
                    "streaming_command": list(template.bundle.streaming_command),
                    "env": dict(template.bundle.env),
                    "secret_env": masked(template.bundle.secret_env),
                }
            ),
            endpoint_config=_endpoint(template),
            fine_tuning_job_bundle_config=None if template.fine_tuning is None else dict(template.fine_tuning),
        ),
        model_creation_parameters_schema=_schema_answer(template.creation_schema),
        model_request_parameters_schema=_schema_answer(template.request_schema),
    )


def _endpoint(template: Template) -> wire.EndpointAnswer:
    # The defaults of the contract, which are for clusters; nothing is reserved for them on the local launcher.
    defaults: dict[str, Any] = {
        "cpus": 3,
        "memory": "8Gi",
        "storage": "16Gi",
        "gpus": 0,
        "gpu_type": None,
        "min_workers": DEFAULT_MIN_WORKERS,
        "max_workers": DEFAULT_MAX_WORKERS,
        "per_worker": DEFAULT_PER_WORKER,
        "endpoint_type": template.endpoint_type,
        "high_priority": False,
    }
    said = {name: getattr(template.endpoint, name) for name in defaults}
    return wire.EndpointAnswer(**{**defaults, **{name: value for name, value in said.items() if value is not None}})


def _schema_answer(schema: ParameterSchema) -> wire.ParametersAnswer:
    return wire.ParametersAnswer(
        parameters=[
            wire.ParameterAnswer(name=p.name, type=p.type, description=p.description, required=p.required)
            for p in schema.parameters
        ]
    )
