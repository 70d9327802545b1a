"""Every setting, in frozen groups, read once at start.

Sources, strongest first: command-line options of ``modelyard serve``, ``MODELYARD_*`` environment
variables (groups join with two underscores, as in ``MODELYARD_GATEWAY__DRAIN_SECONDS``), a
``modelyard.toml`` (in the working directory, or named by ``MODELYARD_CONFIG_FILE``), the defaults below.
``docs/reference/settings.md`` is made from these descriptions.
"""

import ipaddress
import json
import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_data_path
from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from modelyard.described import Described
from modelyard.settings_of_people import AuditSettings as AuditSettings
from modelyard.settings_of_people import CallLogSettings as CallLogSettings
from modelyard.settings_of_people import Group
from modelyard.settings_of_people import OidcSettings as OidcSettings
from modelyard.settings_of_people import OtelSettings as OtelSettings
from modelyard.settings_of_usage import CostSettings as CostSettings
from modelyard.settings_of_usage import Count, Seconds
from modelyard.settings_of_usage import LimitSettings as LimitSettings
from modelyard.settings_of_usage import PriceSetting as PriceSetting
from modelyard.settings_of_usage import UsageSettings as UsageSettings

Window = Annotated[float, Field(gt=0, le=3600)]


class LauncherKind(StrEnum):
    LOCAL = "local"
    CONTAINER = "container"
    RAY = "ray"


class GatewaySettings(Group):
    cold_start_seconds: Seconds = 300
    """How long a call waits for the first worker of a deployment that has none before it gets 503."""
    queue_seconds: Seconds = 60
    """How long a call waits for a free place on running workers before it gets 503."""
    queue_per_slot: Count = 4
    """Calls that may wait for each place (workers x per_worker) of a deployment; more get 503 at once."""
    connect_seconds: Seconds = 5
    """Time-out for the connection to a worker."""
    first_byte_seconds: Seconds = 300
    """Time-out from a request sent to a worker to the first byte of its answer."""
    total_seconds: Seconds = 1800
    """Time-out for a whole call, streams included."""
    heartbeat_seconds: Seconds = 10
    """How often a stream that waits for its first piece gets a comment, so that proxies keep the connection."""
    drain_seconds: Seconds = 60
    """How long calls under way may take to finish when a worker or the server is stopped."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 32 * 1024 * 1024
    """The largest request body that is read; more is 413."""
    ranking_model: str = "minilm-bi-encoder"
    """What the strategy cross_encoder of /v4/chunks/rank takes where a call names no cross-encoder: the name of a
    RERANKING model. The built-in one is a bi-encoder."""
    retries: Annotated[int, Field(ge=0, le=5)] = 2
    """Further tries on another worker when one fails before the first byte of its answer."""


class ReconcilerSettings(Group):
    poll_seconds: Seconds = 1
    """How often deployments are looked at without being nudged, and ready workers are probed."""
    lease_seconds: Seconds = 15
    """How long a controller owns a deployment it works on; another takes over after that."""
    concurrency: Count = 8
    """Deployments worked on at the same time."""
    backoff_seconds: Seconds = 10
    """Pause before a worker that failed is started again; doubles with every failure in a row."""
    backoff_max_seconds: Seconds = 300
    """The longest such pause."""
    rollback_after_failures: Count = 3
    """Workers of a new revision that fail in a row before they are ready, until the last good one serves again."""
    probe_seconds: Seconds = 3
    """Time-out of one call of a worker's health route."""
    probe_failures: Count = 5
    """Failed health probes in a row after which a running worker is replaced."""


class AutoscaleSettings(Group):
    idle_seconds: Seconds = 600
    """Idle time after which a deployment with min_workers 0 goes down to no worker."""
    up_window_seconds: Window = 6
    """Load is averaged over this window before workers are added."""
    down_window_seconds: Window = 60
    """Load is averaged over this window before workers are taken away."""


class RegistryLogin(Group):
    username: str
    password: SecretStr


class ContainersSettings(Group):
    engine: str | None = None
    """Where the container engine (Docker or Podman) is asked: unix:///path/to/socket or tcp://host:port. Not set:
    DOCKER_HOST, else the usual sockets."""
    network: str | None = None
    """The network of workers' containers: "host", or the name of one that the server itself is in. Not set: the
    engine's own, with each worker's port published on ``host``."""
    host: str = "127.0.0.1"
    """The address of this machine on which workers' ports are published, and at which the server calls them."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    """The port that a worker is told to listen on inside its container, unless its image exposes just one."""
    worker_image: str | None = None
    """The image that runs built-in engines, as in localhost/modelyard-worker:1; ``{engine}`` in it becomes the
    engine's name. Not set: they run as processes of this machine."""
    mounts: tuple[str, ...] = ()
    """Directories that every container sees, as /on/the/machine:/in/the/container[:ro]."""
    allowed: tuple[str, ...] | None = None
    """Which images templates may run, by how their names begin, as in ["ghcr.io/me/", "docker.io/"]. Not set: all."""
    registries: dict[str, RegistryLogin] = Field(default_factory=dict)
    """Who pulls from registries that ask, as in {"ghcr.io": {"username": "me", "password": "…"}}."""
    init: bool = False
    """Whether the engine's small init is a container's first process, for programs that do not heed SIGTERM there."""
    gpu_driver: Literal["nvidia", "cdi"] = "nvidia"
    """How GPUs are asked for: by NVIDIA's container runtime, or by CDI names (nvidia.com/gpu=0)."""


class CatalogSettings(Group):
    starters: bool = True
    """Whether the built-in starter models are offered."""
    warm_starters: bool = False
    """Whether the starter models' workers start with the server; otherwise on first use."""
    prefetch: bool = True
    """Whether the starter models' weights are fetched at the first start, before the server listens; otherwise
    their workers fetch them on first use."""


def _from_json(value: Any) -> Any:
    """Workers get it as the text that their server wrote."""
    return json.loads(value) if isinstance(value, str) else value


class WeightsSettings(Group):
    hf_token: SecretStr | None = None
    """Token for gated or private repositories on the Hugging Face hub."""
    hf_endpoint: str | None = None
    """Another address for the hub, such as a mirror."""
    min_free_bytes: Annotated[int, Field(ge=0)] = 1024**3
    """Disk space that a download must leave free; one that would not is refused before it starts."""
    file_roots: Annotated[tuple[Path, ...] | None, BeforeValidator(_from_json)] = None
    """Directories below which weights of `file:` URIs may lie, as JSON: whoever may make models can have files there
    read. Not set: anywhere while the server listens on loopback only, else nowhere."""


class SecuritySettings(Group):
    local_commands: bool | None = None
    """Whether administrators may make templates that run commands as the server (registry 'local').
    Not set: yes while the server listens on loopback only."""
    key_cache_seconds: Annotated[float, Field(gt=0, le=2)] = 1
    """How long a verified key is believed before it is looked up again: the time a revocation takes."""
    secret_key: SecretStr | None = None
    """Key that stored secrets are encrypted with: 32 random bytes in base64. Several, separated by commas, rotate: the
    first one encrypts. Not set: the one in ``<data_dir>/secret.key``, which is made at first use."""
    fetch_images: bool = False
    """Whether images whose addresses callers give are fetched by this server for vendors that fetch none themselves:
    from public addresses only, at most 20 of 20 MiB together, in at most 10 seconds."""
    private_addresses: bool | None = None
    """Whether accounts may name vendors' addresses in private networks. Not set: yes while the server listens on
    loopback only. Addresses in these settings may be anywhere."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages in browsers may call this server, as `["https://app.example.com"]`. Empty: none may."""
    header_bytes: Annotated[int, Field(ge=1024)] = 64 * 1024
    """The largest request line and headers together; more is 431."""
    header_seconds: Seconds = 30
    """How long they may take to arrive; a connection that takes longer is closed."""
    max_workers_per_deployment: Count = 64
    """The highest max_workers a deployment may ask for."""


class VendorSettings(Group):
    """Access to one vendor of models. Accounts may bring their own (``/v4/vendor-credentials``)."""

    api_key: SecretStr | None = None
    """The vendor's key; several, separated by commas, take turns."""
    base_url: str | None = None
    """Another address than the vendor's own."""
    first_byte_seconds: Seconds = 120
    """Time-out from a request sent to the first byte of the vendor's answer."""
    total_seconds: Seconds = 900
    """Time-out for a whole call of the vendor, streams included."""


class OtherSettings(VendorSettings):
    base_url: str | None = None
    """Any OpenAI-compatible address, as in https://models.example.com/v1."""
    models: str = ""
    """Names of its models, separated by commas, as in ``llama-70b, bge-m3=EMBEDDING``; chat models where no type is
    given."""


class LLMEngineSettings(OtherSettings):
    base_url: str | None = None
    """The address of an LLM Engine with OpenAI-compatible routes."""


class VertexSettings(VendorSettings):
    project: str | None = None
    """The Google Cloud project that is called."""
    location: str = "us-central1"
    """The region that is called, or ``global``."""
    credentials_file: Path | None = None
    """A service account's key file (JSON). Not set: Google's application default credentials, where ``project`` is."""


class BedrockSettings(VendorSettings):
    region: str | None = None
    """The AWS region that is called."""
    access_key_id: SecretStr | None = None
    """An AWS access key; needs ``secret_access_key``."""
    secret_access_key: SecretStr | None = None
    """Its secret."""
    session_token: SecretStr | None = None
    """For temporary access keys."""
    bearer_token: SecretStr | None = None
    """A Bedrock API key, instead of an access key."""


class VendorsSettings(Group):
    openai: VendorSettings = VendorSettings()
    anthropic: VendorSettings = VendorSettings()
    cohere: VendorSettings = VendorSettings()
    google: VendorSettings = VendorSettings()
    fireworks_ai: VendorSettings = VendorSettings()
    vertex_ai: VertexSettings = VertexSettings()
    bedrock: BedrockSettings = BedrockSettings()
    llmengine: LLMEngineSettings = LLMEngineSettings()
    other: OtherSettings = OtherSettings()
    others: dict[str, OtherSettings] = Field(default_factory=dict)
    """Further OpenAI-compatible servers, each under a name of yours with the settings of ``other``; ``other`` says how
    long they may take."""
    ca_file: Path | None = None
    """Further certificate authorities (PEM) that vendors' certificates may be signed by."""
    retries: Annotated[int, Field(ge=0, le=2)] = 2
    """Further tries of a vendor that fails before the first byte of its answer."""


class LoggingSettings(Group):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The least important lines that are written."""
    json_lines: bool | None = None
    """JSON lines instead of text for people. Not set: JSON unless standard error is a terminal."""
    calls: bool = True
    """One line for each inference call, without its content."""
    worker_log_bytes: Annotated[int, Field(ge=4096)] = 5 * 1024 * 1024
    """Size at which a worker's log is rotated; three old ones are kept."""


class Settings(Described, BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="MODELYARD_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
    )

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port to listen on; 0 takes a free one."""
    data_dir: Path = Field(default_factory=lambda: user_data_path("modelyard", appauthor=False))
    """Where the database, weights, workers' logs and the administrator's key are kept."""
    database_url: SecretStr | None = None
    """postgresql://user:password@host/name, or sqlite:///path. Not set: SQLite in the data directory."""
    gateways: Count = 1
    """Gateway processes on the same port; more than one make use of more cores, and another process then controls."""
    launcher: LauncherKind = LauncherKind.LOCAL
    """Where workers run: as processes (local), or those of images in containers (container)."""
    bootstrap_api_key: SecretStr | None = None
    """The administrator's key at first start, instead of a random one."""
    gateway: GatewaySettings = GatewaySettings()
    reconciler: ReconcilerSettings = ReconcilerSettings()
    autoscale: AutoscaleSettings = AutoscaleSettings()
    containers: ContainersSettings = ContainersSettings()
    catalog: CatalogSettings = CatalogSettings()
    weights: WeightsSettings = WeightsSettings()
    security: SecuritySettings = SecuritySettings()
    vendors: VendorsSettings = VendorsSettings()
    audit: AuditSettings = AuditSettings()
    call_log: CallLogSettings = CallLogSettings()
    oidc: OidcSettings = OidcSettings()
    otel: OtelSettings = OtelSettings()
    usage: UsageSettings = UsageSettings()
    cost: CostSettings = CostSettings()
    limits: LimitSettings = LimitSettings()
    logging: LoggingSettings = LoggingSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_file())

    @property
    def listens_on_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def allows_local_commands(self) -> bool:
        """Whether templates may run commands as the server; see `SecuritySettings.local_commands`."""
        allowed = self.security.local_commands
        return self.listens_on_loopback if allowed is None else allowed

    @property
    def allows_private_addresses(self) -> bool:
        """See `SecuritySettings.private_addresses`."""
        allowed = self.security.private_addresses
        return self.listens_on_loopback if allowed is None else allowed

    @property
    def file_roots(self) -> tuple[Path, ...] | None:
        """Where `file:` weights may lie; None: anywhere. See `WeightsSettings.file_roots`."""
        if self.weights.file_roots is None and not self.listens_on_loopback:
            return ()
        return self.weights.file_roots

    @property
    def database(self) -> str:
        """The database URL in effect, secret included."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir / 'modelyard.db'}"


def load(**overrides: Any) -> Settings:
    """Read all sources. ``overrides`` are command-line options; None means: not given."""
    return Settings(**{name: value for name, value in overrides.items() if value is not None})


def config_file() -> Path:
    return Path(os.environ.get("MODELYARD_CONFIG_FILE", "modelyard.toml"))


def sources() -> dict[tuple[str, ...], str]:
    """Where each setting that is not at its default comes from, by its path, as in ("gateway", "drain_seconds")."""
    found: dict[tuple[str, ...], str] = {}
    for label, source in (
        (str(config_file()), TomlConfigSettingsSource(Settings, config_file())),
        ("environment", EnvSettingsSource(Settings)),
    ):
        found |= dict.fromkeys(_paths(source()), label)
    return found


def _paths(tree: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _paths(value, (*path, name))
        else:
            yield (*path, name)
