"""From what people wrote (template, model, deployment) to what a launcher starts.

Three layers of parameters come together here: a deployment's override its model's. What a running
worker cannot change is boiled down to a *revision*; scaling numbers are no part of it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from modelyard.domain.deployments import Deployment, Resources, WorkerSpec
from modelyard.domain.models import Model
from modelyard.domain.parameters import LAUNCHER_VARIABLES, Value, Values, environment, expand, expand_but, quoted
from modelyard.domain.resources import parse_size
from modelyard.domain.templates import BUILT_IN_REGISTRY, BundleConfig, EndpointType, Template

DEFAULT_MIN_WORKERS = 0
DEFAULT_MAX_WORKERS = 1
DEFAULT_PER_WORKER = 10

_REVISION_DIGITS = 12


def merged_parameters(model: Model, deployment_parameters: Values) -> dict[str, Value]:
    """The creation parameters in effect: the deployment's over the model's."""
    return {**model.model_creation_parameters, **deployment_parameters}


def scaling(template: Template, vendor_configuration: Mapping[str, Any]) -> tuple[int, int, int]:
    """``(min_workers, max_workers, per_worker)``: the deployment's, else the template's, else 0, 1, 10."""

    def number(name: str, default: int) -> int:
        for value in (vendor_configuration.get(name), getattr(template.endpoint, name)):
            if value is not None:
                return int(value)
        return default

    return (
        number("min_workers", DEFAULT_MIN_WORKERS),
        number("max_workers", DEFAULT_MAX_WORKERS),
        number("per_worker", DEFAULT_PER_WORKER),
    )


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


def revision_of(
    template: Template,
    model: Model,
    deployment_parameters: Values,
    vendor_configuration: Mapping[str, Any] = {},
) -> str:
    """A short fingerprint of all that a running worker cannot change: bundle, parameters, resources,
    protocol. Equal inputs give equal revisions, on every machine and in every process. How long to wait
    for a worker's first answer is no part of it."""
    facts = {
        "bundle": _fields(template.bundle, but="readiness_initial_delay_seconds"),
        "command": _command(template),
        "model_type": template.model_type,
        "protocol": template.endpoint_protocol,
        "parameters": merged_parameters(model, deployment_parameters),
        "resources": _fields(resources(template, vendor_configuration)),
    }
    text = json.dumps(facts, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_REVISION_DIGITS]


def worker_spec(
    template: Template, model: Model, deployment: Deployment, worker_id: str, *, env: Mapping[str, str]
) -> WorkerSpec:
    """The spec of one worker of ``deployment``.

    The environment holds, later over earlier: ``env`` (what the server tells its own bundles, such as
    where weights are kept; given to them alone), what a worker may want to know of its endpoint, every
    creation parameter under its own name, and the bundle's ``env`` with its references filled in.
    ``${PORT}`` and ``${HOST}`` stay in ``command`` and ``env`` until a launcher calls `bound`.
    """
    bundle = template.bundle
    values = environment(merged_parameters(model, deployment.model_creation_parameters))
    told = dict(_endpoint_variables(template))
    if bundle.registry == BUILT_IN_REGISTRY:
        told = {**env, **told, "MODELYARD_ENGINE": bundle.image}
    return WorkerSpec(
        worker_id=worker_id,
        deployment_id=deployment.id,
        revision=deployment.target.revision,
        registry=bundle.registry,
        image=bundle.image,
        tag=bundle.tag,
        command=tuple(expand_but(item, values, LAUNCHER_VARIABLES) for item in _command(template)),
        env={
            **{name: quoted(value) for name, value in {**told, **values}.items()},
            **{name: expand_but(value, values, LAUNCHER_VARIABLES) for name, value in bundle.env.items()},
        },
        protocol=template.endpoint_protocol,
        model_type=template.model_type,
        healthcheck_route=bundle.healthcheck_route,
        readiness_seconds=float(bundle.readiness_initial_delay_seconds),
        resources=resources(template, deployment.vendor_configuration),
    )


def bound(spec: WorkerSpec, *, host: str, port: int) -> WorkerSpec:
    """``spec`` with the address it is to listen on: references filled in, ``HOST`` and ``PORT`` set.
    What a launcher starts; its command and environment are final."""
    values = {"HOST": host, "PORT": str(port)}
    return replace(
        spec,
        command=tuple(expand(item, values) for item in spec.command),
        env={**{name: expand(text, values) for name, text in spec.env.items()}, **values},
    )


def _command(template: Template) -> tuple[str, ...]:
    bundle = template.bundle
    if bundle.streaming_command and is_streaming(template):
        return bundle.streaming_command
    return bundle.command


def is_streaming(template: Template) -> bool:
    """Whether the template's endpoint streams, by either of the two places that may say so."""
    return EndpointType.STREAMING in (template.endpoint_type, template.endpoint.endpoint_type)


def _endpoint_variables(template: Template) -> dict[str, str]:
    bundle = template.bundle
    return {
        "MODELYARD_MODEL_TYPE": template.model_type,
        "MODELYARD_PROTOCOL": template.endpoint_protocol,
        "MODELYARD_HEALTH_ROUTE": bundle.healthcheck_route,
        "MODELYARD_PREDICT_ROUTE": bundle.predict_route,
        "MODELYARD_STREAMING_PREDICT_ROUTE": bundle.streaming_predict_route,
    }


def _fields(value: BundleConfig | Resources, but: str = "") -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value) if field.name != but}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no place in a revision")
