"""What Prometheus is told (GET /metrics). Calls are counted in batches beside their path; gauges are set by
`modelyard.control.gauges` once in a while. ``docs/guides/observability.md`` lists them all."""

import os
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Iterable, Sequence

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

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
ERRORS = Counter("modelyard_call_errors", "Inference calls that failed, by the error's code", ("verb", "code"))
VENDOR_CALLS = Counter("modelyard_vendor_calls", "Inference calls that a vendor answered", ("vendor", "outcome"))
VENDOR_RETRIES = Counter("modelyard_vendor_retries", "Further tries of a vendor that failed at first", ("vendor",))
VENDOR_RESTS = Counter("modelyard_vendor_rests", "Keys of a vendor that were given a rest", ("vendor",))
LIMITED = Counter("modelyard_limits_refused", "Calls that a limit refused", ("bound",))

# Of gateways: each process tells its own, and those that live are added up.
IN_FLIGHT = Gauge(
    "modelyard_calls_in_flight", "Calls that workers or vendors work on", ("deployment",), multiprocess_mode="livesum"
)
WAITING = Gauge(
    "modelyard_calls_waiting", "Calls that wait for a place on a worker", ("deployment",), multiprocess_mode="livesum"
)
USAGE_WAITING = Gauge(
    "modelyard_usage_records_waiting", "Usage records not in the database yet", multiprocess_mode="livesum"
)
USAGE_LAG = Gauge(
    "modelyard_usage_lag_seconds",
    "How long usage records have waited for the database, at most",
    multiprocess_mode="livemax",
)
USAGE_DROPPED = Counter("modelyard_usage_records_dropped", "Usage records that were given up: money lost")
USAGE_UNJOURNALED = Counter("modelyard_usage_records_unjournaled", "Usage records that the disk did not take")
BODIES_DROPPED = Counter("modelyard_call_bodies_dropped", "Bodies of calls that were to be kept and were not")
SPANS_DROPPED = Counter("modelyard_spans_dropped", "Spans of calls that nobody received")

# Of whoever controls: one process alone.
WORKERS = Gauge("modelyard_workers", "Workers", ("deployment", "phase"), multiprocess_mode="livemostrecent")
STEPS = Counter("modelyard_reconciler_steps", "Steps of the reconciler", ("outcome",))
STEP_SECONDS = Histogram(
    "modelyard_reconciler_step_seconds", "How long a step of the reconciler took", buckets=_SECONDS
)

DATABASE_UP = Gauge("modelyard_database_up", "1 while the database can be used", multiprocess_mode="livemin")


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
    errors: Tally[tuple[str, str]] = Tally()
    vendors: Tally[tuple[str, str]] = Tally()
    whole: dict[str, list[float]] = {}
    until_first: dict[str, list[float]] = {}
    for record in records:
        verb = record.verb.value
        calls[verb, record.model_name, record.outcome.value] += 1
        tokens[record.model_name, "prompt"] += record.prompt_tokens
        tokens[record.model_name, "response"] += record.response_tokens
        whole.setdefault(verb, []).append(record.total_seconds)
        if record.first_byte_seconds is not None:
            until_first.setdefault(verb, []).append(record.first_byte_seconds)
        if record.error_code is not None:
            errors[verb, record.error_code] += 1
        if record.vendor is not None:
            vendors[record.vendor, record.outcome.value] += 1
    for (verb, model, outcome), number in calls.items():
        CALLS.labels(verb, _printable(model), outcome).inc(number)
    for (model, kind), number in tokens.items():
        TOKENS.labels(_printable(model), kind).inc(number)
    for verb, seconds in whole.items():
        _observe(TOTAL.labels(verb), seconds)
    for verb, seconds in until_first.items():
        _observe(FIRST_BYTE.labels(verb), seconds)
    for (verb, code), number in errors.items():
        ERRORS.labels(verb, code).inc(number)
    for (vendor, outcome), number in vendors.items():
        VENDOR_CALLS.labels(vendor, outcome).inc(number)


def _observe(histogram: Histogram, values: Sequence[float]) -> None:
    """As ``histogram.observe`` for each of ``values``, which would take a lock for each of them, twice."""
    classes = Tally(bisect_left(histogram._upper_bounds, value) for value in values)
    for place, number in classes.items():
        histogram._buckets[place].inc(number)
    histogram._sum.inc(sum(values))


def forget_process(pid: int) -> None:
    """What a process that died told of its present is nobody's any more; what it counted stays."""
    if SHARED_METRICS in os.environ:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]


def _printable(name: str) -> str:
    # One name that is no UTF-8 would keep all of /metrics from being written.
    return name.encode("utf-8", "replace").decode()
