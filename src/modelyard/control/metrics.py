"""What Prometheus is told of calls, counted in batches beside the calls' path (GET /metrics)."""

import os
from collections import Counter as Tally
from collections.abc import Iterable

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

from modelyard.domain.usage import UsageRecord

SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that, set before this module is imported, makes every process of a server count in files
of its own in that directory: they survive it, and any process can add all of them up."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

CALLS = Counter("modelyard_calls", "Inference calls", ("verb", "model", "outcome"))
TOKENS = Counter("modelyard_tokens", "Tokens read (prompt) and written (response)", ("model", "kind"))
FIRST_BYTE = Histogram(
    "modelyard_first_byte_seconds", "From a call to the first byte of its answer", ("verb",), buckets=_SECONDS
)
TOTAL = Histogram("modelyard_call_seconds", "From a call to the end of its answer", ("verb",), buckets=_SECONDS)


def registry() -> CollectorRegistry:
    """What all processes of this server have counted."""
    if SHARED_METRICS not in os.environ:
        return REGISTRY
    together = CollectorRegistry()
    MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return together


def count(records: Iterable[UsageRecord]) -> None:
    calls: Tally[tuple[str, str, str]] = Tally()
    tokens: Tally[tuple[str, str]] = Tally()
    for record in records:
        calls[record.verb.value, record.model_name, record.outcome.value] += 1
        tokens[record.model_name, "prompt"] += record.prompt_tokens
        tokens[record.model_name, "response"] += record.response_tokens
        TOTAL.labels(record.verb.value).observe(record.total_seconds)
        if record.first_byte_seconds is not None:
            FIRST_BYTE.labels(record.verb.value).observe(record.first_byte_seconds)
    for (verb, model, outcome), number in calls.items():
        CALLS.labels(verb, _printable(model), outcome).inc(number)
    for (model, kind), number in tokens.items():
        TOKENS.labels(_printable(model), kind).inc(number)


def _printable(name: str) -> str:
    # One name that is no UTF-8 would keep all of /metrics from being written.
    return name.encode("utf-8", "replace").decode()
