"""What the workers of one revision are made of, boiled down from template, model and deployment.

A snapshot is kept for every revision (`modelyard.domain.revisions`): its workers can be started again whatever
became of the template since. Scaling numbers are no part of it, nor is how long to wait for a worker's first answer.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from modelyard.domain.deployments import Resources
from modelyard.domain.models import Model
from modelyard.domain.parameters import Value, Values
from modelyard.domain.resources import parse_size
from modelyard.domain.templates import BundleConfig, EndpointProtocol, EndpointType, ModelType, Template

_REVISION_DIGITS = 12
_NO_PART = "readiness_initial_delay_seconds"


@dataclass(frozen=True, slots=True)
class Snapshot:
    model_type: ModelType
    protocol: EndpointProtocol
    streaming: bool
    """Whether the endpoint streams: then ``streaming_command`` is what runs, where there is one."""
    bundle: BundleConfig
    resources: Resources
    parameters: Mapping[str, Any]
    """The creation parameters in effect: the deployment's over the model's."""
    own_parameters: Mapping[str, Any]
    """Those of the deployment alone, for going back to them."""
    own_resources: Mapping[str, Any]
    """``vendor_configuration`` of the deployment as far as it says what a worker runs on."""

    @property
    def command(self) -> tuple[str, ...]:
        return (
            self.bundle.streaming_command if self.streaming and self.bundle.streaming_command else self.bundle.command
        )


RESOURCE_FIELDS = tuple(field.name for field in fields(Resources))


def merged_parameters(model: Model, deployment_parameters: Values) -> dict[str, Value]:
    """The creation parameters in effect: the deployment's over the model's."""
    return {**model.model_creation_parameters, **deployment_parameters}


def resources(template: Template, vendor_configuration: Mapping[str, Any] = {}) -> Resources:
    """What one worker needs: the deployment's word over the template's; what neither says is not reserved.
    Raises ValueError for a size that is none."""

    def said(name: str) -> Any:
        value = vendor_configuration.get(name)
        return getattr(template.endpoint, name) if value is None else value

    def size(name: str) -> int | None:
        text = said(name)
        return None if text is None else parse_size(str(text))

    return Resources(
        cpus=said("cpus"),
        memory=size("memory"),
        storage=size("storage"),
        gpus=said("gpus"),
        gpu_type=said("gpu_type"),
    )


def is_streaming(template: Template) -> bool:
    """Whether the template's endpoint streams, by either of the two places that may say so."""
    return EndpointType.STREAMING in (template.endpoint_type, template.endpoint.endpoint_type)


def snapshot_of(
    template: Template,
    model: Model,
    deployment_parameters: Values,
    vendor_configuration: Mapping[str, Any] = {},
) -> Snapshot:
    """What a worker would be made of today."""
    return Snapshot(
        model_type=template.model_type,
        protocol=template.endpoint_protocol,
        streaming=is_streaming(template),
        bundle=template.bundle,
        resources=resources(template, vendor_configuration),
        parameters=merged_parameters(model, deployment_parameters),
        own_parameters=dict(deployment_parameters),
        own_resources={
            name: vendor_configuration[name] for name in RESOURCE_FIELDS if vendor_configuration.get(name) is not None
        },
    )


def with_readiness_of(snapshot: Snapshot, template: Template) -> Snapshot:
    """``snapshot`` with today's word on how long a worker may take to answer, which is no part of a revision."""
    seconds = template.bundle.readiness_initial_delay_seconds
    return replace(snapshot, bundle=replace(snapshot.bundle, readiness_initial_delay_seconds=seconds))


def revision_of(snapshot: Snapshot) -> str:
    """A short fingerprint of all that a running worker cannot change: bundle, parameters, resources, protocol. Equal
    inputs give equal revisions, on every machine and in every process."""
    bundle = {field.name: getattr(snapshot.bundle, field.name) for field in fields(BundleConfig)}
    facts = {
        # What came later is no part of those that have none of it: their workers stay.
        "bundle": {n: value for n, value in bundle.items() if n != _NO_PART and (n != "secret_env" or value)},
        "command": snapshot.command,
        "model_type": snapshot.model_type,
        "protocol": snapshot.protocol,
        "parameters": snapshot.parameters,
        "resources": {name: getattr(snapshot.resources, name) for name in RESOURCE_FIELDS},
    }
    text = json.dumps(facts, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_REVISION_DIGITS]


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no place in a revision")
