"""What is looked at once in a while and told to Prometheus."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from prometheus_client import REGISTRY

from modelyard.control.gauges import CallGauges, DatabaseGauge, WorkerGauges
from modelyard.control.telemetry import metrics
from modelyard.control.usage.writer import UsageWriter
from modelyard.domain.deployments import Deployment, Phase
from modelyard.domain.load import DeploymentLoad, GatewayLoad
from modelyard.errors import Unavailable
from modelyard.store import Store
from modelyard.testing.clock import FakeClock


class Busy:
    def __init__(self) -> None:
        self.now = GatewayLoad({"d": DeploymentLoad(in_flight=2, waiting=3)})
        self.tallies = {"OPENAI": (2, 1)}

    def load(self) -> GatewayLoad:
        return self.now

    def vendor_tallies(self) -> dict[str, tuple[int, int]]:
        return self.tallies


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def test_what_a_gateway_does_is_told_and_what_ended_is_not() -> None:
    usage = cast("UsageWriter", SimpleNamespace(waiting=7, lag_seconds=1.5, dropped=2, unjournaled=1))
    gateway = Busy()
    gauges = CallGauges(gateway, usage, FakeClock())
    dropped = value("modelyard_usage_records_dropped_total") or 0
    unjournaled = value("modelyard_usage_records_unjournaled_total") or 0
    retries = value("modelyard_vendor_retries_total", vendor="OPENAI") or 0
    rests = value("modelyard_vendor_rests_total", vendor="OPENAI") or 0
    gauges.tell()
    gauges.tell()
    assert value("modelyard_calls_in_flight", deployment="d") == 2
    assert value("modelyard_calls_waiting", deployment="d") == 3
    assert value("modelyard_usage_records_waiting") == 7
    assert value("modelyard_usage_lag_seconds") == 1.5
    assert value("modelyard_usage_records_dropped_total") == dropped + 2
    assert value("modelyard_usage_records_unjournaled_total") == unjournaled + 1
    assert value("modelyard_vendor_retries_total", vendor="OPENAI") == retries + 2
    assert value("modelyard_vendor_rests_total", vendor="OPENAI") == rests + 1
    gateway.now = GatewayLoad()
    gauges.tell()
    assert value("modelyard_calls_waiting", deployment="d") is None


def test_workers_are_counted_by_phase() -> None:
    def of(*phases: Phase) -> Deployment:
        workers = [SimpleNamespace(phase=phase) for phase in phases]
        return cast("Deployment", SimpleNamespace(id="one", workers=workers))

    deployments = [of(Phase.READY, Phase.READY, Phase.LOADING)]
    gauges = WorkerGauges(lambda: deployments, FakeClock())
    gauges.tell()
    assert value("modelyard_workers", deployment="one", phase="ready") == 2
    assert value("modelyard_workers", deployment="one", phase="loading") == 1
    deployments[:] = [of(Phase.READY)]
    gauges.tell()
    assert value("modelyard_workers", deployment="one", phase="loading") is None
    assert value("modelyard_workers", deployment="one", phase="ready") == 1


async def test_a_database_that_is_away_is_told() -> None:
    class Away:
        async def pulse(self) -> Any:
            raise Unavailable("gone")

    class There:
        async def pulse(self) -> Any:
            return None

    await DatabaseGauge(cast("Store", There()), FakeClock()).look()
    assert value("modelyard_database_up") == 1
    await DatabaseGauge(cast("Store", Away()), FakeClock()).look()
    assert value("modelyard_database_up") == 0


_TELLS = """
import sys
from modelyard.control.telemetry import metrics
metrics.WAITING.labels("d").set(int(sys.argv[1]))
metrics.DATABASE_UP.set(int(sys.argv[2]))
metrics.LIMITED.labels("calls_per_minute").inc()
"""

_READS = """
import sys
from prometheus_client import generate_latest
from modelyard.control.telemetry import metrics
for pid in sys.argv[1:]:
    metrics.forget_process(int(pid))
print(generate_latest(metrics.registry()).decode())
"""


def run(directory: Path, code: str, *arguments: object) -> tuple[int, str]:
    environment = {**os.environ, metrics.SHARED_METRICS: str(directory)}
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        text = process.communicate()[0]
    assert process.returncode == 0
    return process.pid, text


def test_several_processes_are_told_together_and_dead_ones_leave_only_their_counts(tmp_path: Path) -> None:
    first, _ = run(tmp_path, _TELLS, 2, 1)
    run(tmp_path, _TELLS, 3, 0)
    _, text = run(tmp_path, _READS)
    assert 'modelyard_calls_waiting{deployment="d"} 5.0' in text
    assert "modelyard_database_up 0.0" in text
    assert 'modelyard_limits_refused_total{bound="calls_per_minute"} 2.0' in text
    _, text = run(tmp_path, _READS, first)
    assert 'modelyard_calls_waiting{deployment="d"} 3.0' in text
    assert 'modelyard_limits_refused_total{bound="calls_per_minute"} 2.0' in text
