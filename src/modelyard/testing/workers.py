"""Specs of the small worker beside this file, for launchers and reconcilers."""

import sys
from pathlib import Path
from uuid import uuid4

from modelyard.domain.deployments import Resources, WorkerSpec
from modelyard.domain.templates import LOCAL_REGISTRY, EndpointProtocol, ModelType

SCRIPT = Path(__file__).parent / "sgp_worker.py"
COMMAND = (sys.executable, str(SCRIPT))


def fake_spec(
    deployment_id: str | None = None, *, command: tuple[str, ...] = COMMAND, cpus: int | None = None, **env: str
) -> WorkerSpec:
    return WorkerSpec(
        worker_id=str(uuid4()),
        deployment_id=deployment_id or str(uuid4()),
        revision="r1",
        registry=LOCAL_REGISTRY,
        image="fake",
        tag="latest",
        command=command,
        env=env,
        protocol=EndpointProtocol.SGP,
        model_type=ModelType.EMBEDDING,
        healthcheck_route="/readyz",
        readiness_seconds=20,
        resources=Resources(cpus=cpus),
    )
