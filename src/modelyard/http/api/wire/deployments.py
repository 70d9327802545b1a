"""Deployments on the wire: the official client's ``deployment_create_params`` and ``model_deployment``, and
``status_detail``, events and logs, which are ours."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import MISSING, Field

from modelyard.domain.deployments import DeploymentStatus
from modelyard.domain.models import ModelVendor
from modelyard.http.api.wire.common import Answer, Body, Choice, FreeForm, Id, Name, Owned
from modelyard.http.api.wire.templates import Count, Resources, Word

Values = dict[str, Any]
IdleSeconds = Annotated[float, Field(gt=0, le=30 * 86_400, allow_inf_nan=False)]
WindowSeconds = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


class DeploymentConfiguration(Resources):
    """``vendor`` LAUNCH takes the scaling fields, from min_workers to down_window_seconds; LLMENGINE takes all."""

    vendor: Choice[ModelVendor] | None = None
    min_workers: Count | None = None
    """Workers kept even without load. 0: an idle deployment costs nothing, its next call waits for a worker."""
    max_workers: Count | None = None
    per_worker: Count | None = None
    """Concurrent requests that one worker serves."""
    idle_seconds: IdleSeconds | None = None
    """Our own: without a call for so long, workers go down to min_workers 0. Default: the setting of this name."""
    up_window_seconds: WindowSeconds | None = None
    """Our own: load is averaged over this before workers are added. Default: the setting of this name."""
    down_window_seconds: WindowSeconds | None = None
    """Our own: load is averaged over this before workers are taken away. Default: the setting of this name."""
    base_model_name: Word | None = None
    checkpoint_path: Word | None = None
    high_priority: bool | None = None
    inference_framework_image_tag: Word | None = None
    model_name: Word | None = None
    num_shards: Count | None = None


class DeploymentCreate(Body):
    name: Name
    account_id: Id | None = None
    deployment_metadata: FreeForm | None = None
    model_creation_parameters: Values | None = None
    """Override the model's."""
    vendor_configuration: DeploymentConfiguration | None = None
    wait_for_ready: bool = True
    """Whether to answer only when the deployment is READY, or when it is known to have failed."""


class DeploymentChange(Body):
    """Only what is sent changes."""

    name: Name | MISSING = MISSING
    deployment_metadata: FreeForm | None = None
    model_creation_parameters: Values | None = None
    """As a whole: parameters that are not among these go back to the model's."""
    vendor_configuration: DeploymentConfiguration | None = None
    """Each field by itself; null takes one back to the template's."""
    wait_for_ready: bool = True


class StatusDetailAnswer(Answer):
    """Why a deployment has its status, and how far it is."""

    phase: str
    reason: str | None
    workers_ready: int
    workers_wanted: int
    revision: str
    eta_seconds: float | None


class DeploymentAnswer(Owned):
    name: str
    status: DeploymentStatus
    status_detail: StatusDetailAnswer
    model_instance_id: str
    model_endpoint_id: str | None = None
    deployment_metadata: FreeForm | None
    model_creation_parameters: Values
    vendor_configuration: dict[str, Any]


class LogQuery(Body):
    lines: Annotated[int, Field(strict=False, ge=1, le=10_000)] = 200
    """Lines to give of each worker, the last ones."""


class WorkerLogAnswer(Answer):
    worker_id: str
    phase: str
    lines: list[str]


class LogsAnswer(Answer):
    workers: list[WorkerLogAnswer]


class EventQuery(Body):
    limit: Annotated[int, Field(strict=False, ge=1, le=10_000)] = 100


class EventAnswer(Answer):
    at: datetime
    kind: str
    message: str


class EventsAnswer(Answer):
    items: list[EventAnswer]
