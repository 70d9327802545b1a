"""Deployments: models put up to be called, and the workers that serve them.

A deployment has a *target* (what its owner asked for) and what was *observed* (what is there). No one
ever assigns a status: `modelyard.domain.lifecycle` derives it from the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, IdentityType
from modelyard.domain.parameters import Value
from modelyard.domain.templates import EndpointProtocol, ModelType


class DeploymentStatus(StrEnum):
    UPDATE_PENDING = "UPDATE_PENDING"
    UPDATE_IN_PROGRESS = "UPDATE_IN_PROGRESS"
    READY = "READY"
    UPDATE_FAILED = "UPDATE_FAILED"
    DELETE_IN_PROGRESS = "DELETE_IN_PROGRESS"


class Phase(StrEnum):
    """Where a worker is in its life. ``STARTING`` to ``READY`` go forwards only; ``EXITED`` is the end."""

    STARTING = "starting"  # asked for; its process or container may not run yet
    PULLING = "pulling"  # fetching weights or an image
    LOADING = "loading"  # its engine loads the weights
    READY = "ready"  # answered its health route
    DRAINING = "draining"  # takes no new requests, finishes those under way
    EXITED = "exited"


COMING = (Phase.STARTING, Phase.PULLING, Phase.LOADING)
"""Phases on the way to READY."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What one worker needs; None is not reserved. ``memory`` and ``storage`` are bytes."""

    cpus: int | None = None
    memory: int | None = None
    storage: int | None = None
    gpus: int | None = None
    gpu_type: str | None = None


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """Everything a launcher needs to start one worker; made by `control`, understood by every launcher.

    ``command`` may still refer to ``${PORT}`` and ``${HOST}``, which only the launcher knows.
    """

    worker_id: str
    deployment_id: str
    revision: str
    registry: str
    image: str
    tag: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    """May hold secrets: it is shown nowhere."""
    protocol: EndpointProtocol
    model_type: ModelType
    healthcheck_route: str
    readiness_seconds: float
    resources: Resources = Resources()


@dataclass(frozen=True, slots=True)
class Observation:
    """One worker as its launcher sees it now."""

    worker_id: str
    deployment_id: str
    revision: str
    phase: Phase
    address: str | None = None
    """Base URL, as in http://127.0.0.1:41235, once it is known."""
    detail: str | None = None
    """How far it is, or why it ended, in words a user can act on."""
    exit_code: int | None = None
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as written down: intended before it is started, kept until it is known to be gone."""

    id: str
    deployment_id: str
    revision: str
    created_at: datetime
    phase: Phase = Phase.STARTING
    address: str | None = None
    detail: str | None = None
    ready_at: datetime | None = None
    draining_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What the owner asked for. A change of anything but the scaling numbers is a new revision."""

    min_workers: int
    max_workers: int
    """0 where a vendor answers, so that there never is a worker."""
    per_worker: int
    revision: str
    """Fingerprint of all that a running worker cannot change: bundle, parameters, resources."""
    generation: int = 1
    """Counts every change of the target."""
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen last, written by the reconciler alone."""

    generation: int = 0
    """The target's generation that these lines speak of."""
    ready_revision: str | None = None
    """The last revision of which a worker has answered its health route."""
    failures: int = 0
    """Workers of the target's revision that ended before they were ready, in a row."""
    crashes: int = 0
    """Workers that ended by themselves soon after they had been ready, in a row."""
    failed_at: datetime | None = None
    reason: str | None = None
    """Why the last failure happened: the engine's own last words."""
    demanded_at: datetime | None = None
    """When a call last asked for a worker; set by the gateway's wake-up."""
    wanted: int | None = None
    """How many workers load asks for, as the plan last took it; None: load has said nothing yet."""
    failed_revision: str | None = None
    """A revision that was given up: while it is the target's, workers of ``ready_revision`` serve instead."""
    start_seconds: tuple[float, ...] = ()
    """How long the last workers took from written down to ready; newest last."""
    note: str | None = None
    """What the owner should know: that old workers stop before new ones start, or why a revision was given up."""


def served_revision(target: Target, observed: Observed) -> str:
    """The revision of which workers are wanted: the target's, or the last good one once that was given up."""
    if observed.failed_revision == target.revision and observed.ready_revision is not None:
        return observed.ready_revision
    return target.revision


@dataclass(frozen=True, slots=True)
class Deployment:
    id: str
    account_id: str
    created_at: datetime
    created_by_user_id: str
    created_by_identity_type: IdentityType
    name: str
    model_id: str
    target: Target
    observed: Observed = Observed()
    vendor_configuration: Mapping[str, Any] = field(default_factory=dict)
    """As sent, completed by defaults: min_workers, max_workers, per_worker and the vendor's own."""
    model_creation_parameters: Mapping[str, Value] = field(default_factory=dict)
    deployment_metadata: Mapping[str, Any] | None = None
    workers: tuple[Worker, ...] = ()

    @property
    def is_built_in(self) -> bool:
        return self.account_id == PLATFORM_ACCOUNT_ID

    @property
    def is_vendors(self) -> bool:
        """Whether a vendor answers, and no worker ever does."""
        return self.target.max_workers == 0

    @property
    def revision(self) -> str:
        """`served_revision`."""
        return served_revision(self.target, self.observed)


@dataclass(frozen=True, slots=True)
class StatusDetail:
    """Why a deployment has its status and how far it is (``status_detail`` on the wire)."""

    phase: str
    reason: str | None
    workers_ready: int
    workers_wanted: int
    revision: str
    eta_seconds: float | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a deployment, for people to read."""

    deployment_id: str
    at: datetime
    kind: str
    message: str
