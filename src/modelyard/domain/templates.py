"""Templates: what a team writes once, so that many models can be made from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from modelyard.domain.accounts import IdentityType
from modelyard.domain.parameters import ParameterSchema


class EndpointType(StrEnum):
    SYNC = "SYNC"
    ASYNC = "ASYNC"
    STREAMING = "STREAMING"
    BATCH = "BATCH"


class ModelType(StrEnum):
    COMPLETION = "COMPLETION"
    CHAT_COMPLETION = "CHAT_COMPLETION"
    AGENT = "AGENT"
    EMBEDDING = "EMBEDDING"
    RERANKING = "RERANKING"
    GENERIC = "GENERIC"
    BUNDLE = "BUNDLE"


class EndpointProtocol(StrEnum):
    """The calling convention a worker speaks."""

    SGP = "SGP"
    COHERE = "COHERE"
    VLLM = "VLLM"


BUILT_IN_REGISTRY = "modelyard"
"""``bundle_config.registry`` of bundles that ship with modelyard; ``image`` then names an engine."""

LOCAL_REGISTRY = "local"
"""``bundle_config.registry`` of a command that runs as the server on the server's own machine."""


@dataclass(frozen=True, slots=True)
class BundleConfig:
    """What runs: an image or a built-in bundle, and how it is spoken to."""

    registry: str
    image: str
    tag: str
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    secret_env: Mapping[str, str] = field(default_factory=dict)
    """Further variables, their values sealed (`modelyard.control.vault`) from the moment they came in."""
    readiness_initial_delay_seconds: int = 120
    """How long a worker may take to answer its health route once its process runs; weights being
    fetched do not count."""
    healthcheck_route: str = "/readyz"
    predict_route: str = "/predict"
    streaming_command: tuple[str, ...] = ()
    streaming_predict_route: str = "/generate_streaming"


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """What it runs on. None means: not said; nothing is reserved for it on the local launcher."""

    cpus: int | None = None
    memory: str | None = None
    storage: str | None = None
    gpus: int | None = None
    gpu_type: str | None = None
    min_workers: int | None = None
    max_workers: int | None = None
    per_worker: int | None = None
    endpoint_type: EndpointType | None = None
    high_priority: bool | None = None


@dataclass(frozen=True, slots=True)
class Template:
    id: str
    account_id: str
    created_at: datetime
    created_by_user_id: str
    created_by_identity_type: IdentityType
    name: str
    endpoint_type: EndpointType
    model_type: ModelType
    endpoint_protocol: EndpointProtocol
    bundle: BundleConfig
    endpoint: EndpointConfig = EndpointConfig()
    fine_tuning: Mapping[str, Any] | None = None
    """``fine_tuning_job_bundle_config``: kept and given back as sent."""
    creation_schema: ParameterSchema = ParameterSchema()
    request_schema: ParameterSchema = ParameterSchema()
