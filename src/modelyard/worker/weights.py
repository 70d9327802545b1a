"""Weights for the worker's engine, with the worker's status telling how far they are."""

from collections.abc import Callable
from pathlib import Path

from modelyard.domain.deployments import Phase
from modelyard.weights.cache import WeightCache
from modelyard.weights.progress import FetchPhase, Progress, human
from modelyard.worker.status import StatusFile


class WatchedWeights:
    """A `WeightCache` for engines: what it does is written to the status file."""

    def __init__(self, cache: WeightCache, status: StatusFile) -> None:
        self._cache = cache
        self._status = status

    def resolve(self, uri: str) -> Path:
        path = self._cache.resolve(uri, on_progress=self._report)
        self._status.write(Phase.LOADING, f"loading {path.name}")
        return path

    def derive(self, source: Path, name: str, make: Callable[[Path, Path], None]) -> Path:
        def announced(source: Path, target: Path) -> None:
            self._status.write(Phase.PULLING, f"making {name} from {source.name}, once")
            make(source, target)

        path = self._cache.derive(source, name, announced)
        self._status.write(Phase.LOADING, f"loading {path.name}")
        return path

    def _report(self, progress: Progress) -> None:
        if progress.phase is not FetchPhase.READY:
            self._status.write(Phase.PULLING, describe(progress))


def describe(progress: Progress) -> str:
    """How far a fetch is, in words: ``downloading hf:org/repo/file: 42 % of 98.4 MB``."""
    words = f"{progress.phase.value} {progress.uri}"
    if not progress.done_bytes:
        return words
    if not progress.total_bytes:
        return f"{words}: {human(progress.done_bytes)}"
    return f"{words}: {100 * progress.done_bytes // progress.total_bytes} % of {human(progress.total_bytes)}"
