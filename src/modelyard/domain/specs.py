"""From a revision's snapshot to what a launcher starts; and the scaling numbers in effect."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from modelyard.domain.deployments import Worker, WorkerSpec
from modelyard.domain.parameters import LAUNCHER_VARIABLES, environment, expand, expand_but, quoted
from modelyard.domain.snapshots import Snapshot
from modelyard.domain.templates import BUILT_IN_REGISTRY, Template

DEFAULT_MIN_WORKERS = 0
DEFAULT_MAX_WORKERS = 1
DEFAULT_PER_WORKER = 10


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


FILE_ROOTS = "MODELYARD_WEIGHTS__FILE_ROOTS"
"""Where a worker may read weights from; no template may say otherwise."""


def worker_spec(
    snapshot: Snapshot, worker: Worker, *, env: Mapping[str, str], secrets: Mapping[str, str] = {}
) -> WorkerSpec:
    """How ``worker`` is started; ``snapshot`` is its revision's.

    The environment holds, later over earlier: ``env`` (what the server tells its own bundles, such as
    where weights are kept; given to them alone), what a worker may want to know of its endpoint, every
    creation parameter under its own name, the bundle's ``env`` with its references filled in, and ``secrets``, the
    values of its ``secret_env``, as they are.
    ``${PORT}`` and ``${HOST}`` stay in ``command`` and ``env`` until a launcher calls `bound`.
    """
    bundle = snapshot.bundle
    values = environment(snapshot.parameters)
    told = _endpoint_variables(snapshot)
    if bundle.registry == BUILT_IN_REGISTRY:
        told = {**env, **told, "MODELYARD_ENGINE": bundle.image}
    return WorkerSpec(
        worker_id=worker.id,
        deployment_id=worker.deployment_id,
        revision=worker.revision,
        registry=bundle.registry,
        image=bundle.image,
        tag=bundle.tag,
        command=tuple(expand_but(item, values, LAUNCHER_VARIABLES) for item in snapshot.command),
        env={
            **{name: quoted(value) for name, value in {**told, **values}.items()},
            **{name: expand_but(value, values, LAUNCHER_VARIABLES) for name, value in bundle.env.items()},
            **{name: quoted(value) for name, value in secrets.items()},
            **({FILE_ROOTS: quoted(env[FILE_ROOTS])} if FILE_ROOTS in told else {}),
        },
        protocol=snapshot.protocol,
        model_type=snapshot.model_type,
        healthcheck_route=bundle.healthcheck_route,
        readiness_seconds=float(bundle.readiness_initial_delay_seconds),
        resources=snapshot.resources,
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


def _endpoint_variables(snapshot: Snapshot) -> dict[str, str]:
    bundle = snapshot.bundle
    return {
        "MODELYARD_MODEL_TYPE": snapshot.model_type,
        "MODELYARD_PROTOCOL": snapshot.protocol,
        "MODELYARD_HEALTH_ROUTE": bundle.healthcheck_route,
        "MODELYARD_PREDICT_ROUTE": bundle.predict_route,
        "MODELYARD_STREAMING_PREDICT_ROUTE": bundle.streaming_predict_route,
    }
