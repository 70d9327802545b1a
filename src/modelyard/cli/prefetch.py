"""What the starter models need, fetched before the first start listens: their first calls need not wait for it."""

from collections.abc import Callable
from pathlib import Path

import typer

from modelyard import catalog, logs
from modelyard.catalog import Starter
from modelyard.cli.progress import shown
from modelyard.engines import llama_cpp
from modelyard.errors import EngineError, WeightsError
from modelyard.settings import Settings
from modelyard.weights.cache import WeightCache


def prefetch(settings: Settings) -> None:
    """Fetch the starters' weights where they are not there yet, and requantise those that are to be, showing how far
    it is. A server without them is of use too: their workers try again on the first call."""
    logs.configure(settings.logging.model_copy(update={"level": "WARNING"}))
    cache = WeightCache(settings.data_dir / "weights", settings.weights)
    try:
        for starter in catalog.load().starters:
            for uri in starter.weight_uris:
                with shown(cached=False) as on_progress:
                    cache.resolve(uri, on_progress=on_progress)
            _requantise(cache, starter)
    except (WeightsError, EngineError) as error:
        typer.secho(f"Starter weights are not ready, and will be tried again on first use: {error}", err=True)


def _requantise(cache: WeightCache, starter: Starter) -> None:
    if quantization := str(starter.parameters.get("quantization", "")):
        llama_cpp.prepared(_Announced(cache), str(starter.parameters["weights"]), quantization)


class _Announced:
    """The cache, telling before it makes a file that takes its time."""

    def __init__(self, cache: WeightCache) -> None:
        self._cache = cache

    def resolve(self, uri: str) -> Path:
        return self._cache.resolve(uri)

    def derive(self, source: Path, name: str, make: Callable[[Path, Path], None]) -> Path:
        def announced(source: Path, target: Path) -> None:
            typer.echo(f"making {name} from {source.name}, once; this takes some seconds", err=True)
            make(source, target)

        return self._cache.derive(source, name, announced)
