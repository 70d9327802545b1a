"""Histograms that are added up here, in batches, and handed to OpenTelemetry's exporter as they stand.

The SDK's own instruments take ten microseconds and more for each value, several of which a call has; these take one.
"""

import threading
import time
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Attributes = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """One histogram: ``bounds`` are the upper bounds of its classes but the last."""

    name: str
    unit: str
    description: str
    bounds: tuple[float, ...]


@dataclass(slots=True)
class _Tally:
    classes: list[int]
    count: int = 0
    sum: float = 0.0
    least: float = float("inf")
    most: float = float("-inf")


@dataclass(slots=True)
class Histograms:
    """Cumulative since it was made."""

    kinds: tuple[Kind, ...]
    _since: int = field(default_factory=time.time_ns)
    _tallies: dict[tuple[Kind, Attributes], _Tally] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    """Values come from the event loop, and go from the exporter's thread."""

    def add(self, values: Mapping[tuple[Kind, Attributes], list[float]]) -> None:
        """A batch of values."""
        with self._lock:
            for key, each in values.items():
                tally = self._tallies.get(key)
                if tally is None:
                    tally = self._tallies[key] = _Tally([0] * (len(key[0].bounds) + 1))
                for value in each:
                    tally.classes[bisect_left(key[0].bounds, value)] += 1
                tally.count += len(each)
                tally.sum += sum(each)
                tally.least, tally.most = min(tally.least, *each), max(tally.most, *each)

    def data(self, resource: Any, scope: Any) -> Any:
        """What there is now, as the SDK's `MetricsData`."""
        from opentelemetry.sdk.metrics import export as otel

        now = time.time_ns()
        with self._lock:
            points: dict[Kind, list[Any]] = {kind: [] for kind in self.kinds}
            for (kind, attributes), tally in self._tallies.items():
                points[kind].append(
                    otel.HistogramDataPoint(
                        attributes=dict(attributes),
                        start_time_unix_nano=self._since,
                        time_unix_nano=now,
                        count=tally.count,
                        sum=tally.sum,
                        bucket_counts=list(tally.classes),
                        explicit_bounds=kind.bounds,
                        min=tally.least,
                        max=tally.most,
                    )
                )
        cumulative = otel.AggregationTemporality.CUMULATIVE
        metrics = [
            otel.Metric(kind.name, kind.description, kind.unit, otel.Histogram(found, cumulative))
            for kind, found in points.items()
            if found
        ]
        scopes = [otel.ScopeMetrics(scope, metrics, "")]
        return otel.MetricsData([otel.ResourceMetrics(resource, scopes, "")])


class Exporting:
    """Gives ``data`` to the exporter every ``seconds``, in a thread of its own, and once more at the end."""

    def __init__(self, exporter: Any, data: Any, seconds: float) -> None:
        self._exporter = exporter
        self._data = data
        self._seconds = seconds
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otel-metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ending.set()
        self._thread.join(5)
        self._exporter.shutdown()

    def _run(self) -> None:
        while not self._ending.wait(self._seconds):
            self._exporter.export(self._data())
        self._exporter.export(self._data())
