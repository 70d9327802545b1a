"""Templates on the wire: the official client's ``model_template_create_params`` and ``model_template``."""

from typing import Annotated, Any, Literal

from pydantic import MISSING, Field, StringConstraints

from modelyard.domain.parameters import ParameterType
from modelyard.domain.templates import EndpointProtocol, EndpointType, ModelType
from modelyard.http.api.wire.common import MAX_INT, Answer, Body, Choice, Id, Name, Owned, Text

Route = Annotated[str, StringConstraints(max_length=512, pattern=r"^/[^\s?#\x00-\x20]*$")]
Word = Annotated[str, StringConstraints(max_length=1024)]
Argument = Annotated[str, StringConstraints(max_length=65_536)]
Command = Annotated[list[Argument], Field(max_length=1024)]
Variable = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Environment = Annotated[dict[Variable, Argument], Field(max_length=1024)]
Count = Annotated[int, Field(ge=0, le=MAX_INT)]
ReadinessSeconds = Annotated[int, Field(ge=0, le=86_400)]
GpuType = Literal[
    "nvidia-tesla-t4",
    "nvidia-ampere-a10",
    "nvidia-ampere-a100",
    "nvidia-ampere-a100e",
    "nvidia-hopper-h100",
    "nvidia-hopper-h100-1g20gb",
    "nvidia-hopper-h100-3g40gb",
]


class ParameterField(Body):
    """One parameter that a template asks for."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    type: Choice[ParameterType]
    description: Text
    required: bool


class Parameters(Body):
    parameters: Annotated[list[ParameterField], Field(max_length=256)]


class Bundle(Body):
    """What runs: an image or a built-in engine, and how it is spoken to."""

    registry: Word
    image: Word
    tag: Word
    command: Command | None = None
    env: Environment | None = None
    secret_env: Environment | None = None
    """Ours: further variables, kept encrypted and never given back. A value of *** stays as it was."""
    readiness_initial_delay_seconds: ReadinessSeconds | None = None
    healthcheck_route: Route | None = None
    predict_route: Route | None = None
    streaming_command: Command | None = None
    streaming_predict_route: Route | None = None


class BundleChange(Body):
    """`Bundle` with everything optional; what is not sent stays."""

    registry: Word | MISSING = MISSING
    image: Word | MISSING = MISSING
    tag: Word | MISSING = MISSING
    command: Command | None = None
    env: Environment | None = None
    secret_env: Environment | None = None
    """Ours: further variables, kept encrypted and never given back. A value of *** stays as it was."""
    readiness_initial_delay_seconds: ReadinessSeconds | None = None
    healthcheck_route: Route | None = None
    predict_route: Route | None = None
    streaming_command: Command | None = None
    streaming_predict_route: Route | None = None


class Resources(Body):
    cpus: Count | None = None
    memory: Word | None = None
    storage: Word | None = None
    gpus: Count | None = None
    gpu_type: GpuType | None = None


class Endpoint(Resources):
    """What it runs on, and between how many workers."""

    min_workers: Count | None = None
    max_workers: Count | None = None
    per_worker: Count | None = None
    endpoint_type: Choice[EndpointType] | None = None
    high_priority: bool | None = None


class FineTuningBundle(Body):
    """Kept and given back as sent."""

    registry: Word
    image: Word
    tag: Word
    command: Command | None = None
    env: Environment | None = None
    mount_location: Word | None = None
    resources: Resources | None = None
    training_dataset_schema_type: Literal["GENERATION", "RERANKING_QUESTIONS"] | None = None


class VendorConfiguration(Body):
    vendor: Literal["LAUNCH"] | None = None
    bundle_config: Bundle
    endpoint_config: Endpoint | None = None
    fine_tuning_job_bundle_config: FineTuningBundle | None = None


class VendorConfigurationChange(Body):
    vendor: Literal["LAUNCH"] | None = None
    bundle_config: BundleChange | MISSING = MISSING
    endpoint_config: Endpoint | None = None
    fine_tuning_job_bundle_config: FineTuningBundle | None = None


class TemplateCreate(Body):
    account_id: Id | None = None
    name: Name
    endpoint_type: Choice[EndpointType]
    model_type: Choice[ModelType]
    endpoint_protocol: Choice[EndpointProtocol] | None = None
    vendor_configuration: VendorConfiguration
    model_creation_parameters_schema: Parameters | None = None
    model_request_parameters_schema: Parameters | None = None


class TemplateChange(Body):
    """Only what is sent changes. Required fields cannot be null."""

    name: Name | MISSING = MISSING
    endpoint_type: Choice[EndpointType] | MISSING = MISSING
    model_type: Choice[ModelType] | MISSING = MISSING
    endpoint_protocol: Choice[EndpointProtocol] | None = None
    vendor_configuration: VendorConfigurationChange | MISSING = MISSING
    model_creation_parameters_schema: Parameters | None = None
    model_request_parameters_schema: Parameters | None = None


class BundleAnswer(Answer):
    registry: str
    image: str
    tag: str
    command: list[str]
    env: dict[str, str]
    secret_env: dict[str, str]
    """Ours: which secret variables there are; every value is ***."""
    readiness_initial_delay_seconds: int
    healthcheck_route: str
    predict_route: str
    streaming_command: list[str]
    streaming_predict_route: str


class EndpointAnswer(Answer):
    """Completed by the defaults."""

    cpus: int
    memory: str
    storage: str
    gpus: int
    gpu_type: str | None
    min_workers: int
    max_workers: int
    per_worker: int
    endpoint_type: EndpointType
    high_priority: bool


class VendorConfigurationAnswer(Answer):
    vendor: Literal["LAUNCH"] = "LAUNCH"
    bundle_config: BundleAnswer
    endpoint_config: EndpointAnswer
    fine_tuning_job_bundle_config: dict[str, Any] | None


class ParameterAnswer(Answer):
    name: str
    type: ParameterType
    description: str
    required: bool


class ParametersAnswer(Answer):
    parameters: list[ParameterAnswer]


class TemplateAnswer(Owned):
    name: str
    endpoint_type: EndpointType
    model_type: ModelType
    endpoint_protocol: EndpointProtocol
    vendor_configuration: VendorConfigurationAnswer
    model_creation_parameters_schema: ParametersAnswer
    model_request_parameters_schema: ParametersAnswer
