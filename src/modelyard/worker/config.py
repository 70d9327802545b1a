"""A worker's configuration: environment variables, set by its launcher, and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from platformdirs import user_data_path
from pydantic import ValidationError

from modelyard.domain.templates import EndpointProtocol, ModelType
from modelyard.errors import ConfigurationError
from modelyard.settings import WeightsSettings

PREFIX = "MODELYARD_"
_WEIGHTS = "MODELYARD_WEIGHTS__"

E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    engine: str
    model_type: ModelType
    protocol: EndpointProtocol
    host: str
    port: int
    health_route: str
    predict_route: str
    streaming_predict_route: str
    weights_dir: Path
    status_file: Path | None
    weights: WeightsSettings = field(repr=False)
    parameters: Mapping[str, str] = field(repr=False)
    """The whole environment: engines read their creation parameters from it by name."""


def read(environ: Mapping[str, str]) -> WorkerConfig:
    """The configuration in ``environ``; raises `ConfigurationError` naming the variable at fault."""
    weights_dir = environ.get("MODELYARD_WEIGHTS_DIR")
    return WorkerConfig(
        engine=_required(environ, "MODELYARD_ENGINE"),
        model_type=_choice(environ, "MODELYARD_MODEL_TYPE", ModelType),
        protocol=_choice(environ, "MODELYARD_PROTOCOL", EndpointProtocol, EndpointProtocol.SGP),
        host=environ.get("HOST") or "127.0.0.1",
        port=_port(environ),
        health_route=_route(environ, "HEALTH_ROUTE", "/readyz"),
        predict_route=_route(environ, "PREDICT_ROUTE", "/predict"),
        streaming_predict_route=_route(environ, "STREAMING_PREDICT_ROUTE", "/generate_streaming"),
        weights_dir=Path(weights_dir) if weights_dir else user_data_path("modelyard", appauthor=False) / "weights",
        status_file=status_file(environ),
        weights=_weights(environ),
        parameters=environ,
    )


def status_file(environ: Mapping[str, str]) -> Path | None:
    """Where the status goes: asked for by itself, because it tells what is wrong with the rest, too."""
    path = environ.get("MODELYARD_WORKER_STATUS")
    return Path(path) if path else None


def _required(environ: Mapping[str, str], name: str) -> str:
    if value := environ.get(name):
        return value
    raise ConfigurationError(f"The environment variable {name} is not set; a worker needs it.")


def _choice(environ: Mapping[str, str], name: str, kind: type[E], default: E | None = None) -> E:
    value = environ.get(name) or default or _required(environ, name)
    try:
        return kind(value)
    except ValueError as error:
        raise ConfigurationError(f"{name} is '{value}'.", hint=f"It may be: {', '.join(kind)}.") from error


def _port(environ: Mapping[str, str]) -> int:
    text = _required(environ, "PORT")
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise ConfigurationError(f"PORT is '{text}'.", hint="It has to be a number from 1 to 65535.")
    return int(text)


def _route(environ: Mapping[str, str], name: str, default: str) -> str:
    path = environ.get(PREFIX + name) or default
    if not path.startswith("/"):
        raise ConfigurationError(f"{PREFIX}{name} is '{path}'.", hint="A route starts with '/'.")
    return path


def _weights(environ: Mapping[str, str]) -> WeightsSettings:
    given = {name: value for name in WeightsSettings.model_fields if (value := environ.get(_WEIGHTS + name.upper()))}
    try:
        return WeightsSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = _WEIGHTS + str(first["loc"][0]).upper()
        raise ConfigurationError(f"{name}: {first['msg']}.") from error
