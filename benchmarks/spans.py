"""What one call's span costs in processor time: made and encoded for OTLP by OpenTelemetry's SDK, and by our encoder.

    python benchmarks/spans.py [--rounds 5] [--spans 4096]

Batches of 512, in turns; nothing is sent.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, TraceFlags

from modelyard.control.telemetry import conventions
from modelyard.control.telemetry.otlp import SpanEncoder
from modelyard.domain.traces import begun
from modelyard.domain.usage import UsageRecord, Verb
from modelyard.testing.usage import make_usage
from report import machine, middle, spread, table

_BATCH = 512
_RESOURCE, _SCOPE = Resource.create({"service.name": "modelyard"}), InstrumentationScope("modelyard")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


def of_the_sdk(records: Sequence[UsageRecord]) -> bytes:
    return bytes(encode_spans([_span(record) for record in records]).SerializeToString())


def _span(record: UsageRecord) -> ReadableSpan:
    assert record.trace is not None
    start = round(record.started_at.timestamp() * 1e9)
    told: dict[str, Any] = {
        **conventions.alike(record),
        conventions.REQUEST_ID: record.request_id,
        conventions.INPUT_TOKENS: record.prompt_tokens,
        conventions.OUTPUT_TOKENS: record.response_tokens,
        conventions.FIRST_BYTE_SECONDS: record.first_byte_seconds,
    }
    return ReadableSpan(
        conventions.span_name(record),
        SpanContext(int(record.trace.trace_id, 16), int(record.trace.span_id, 16), False, _SAMPLED),
        None,
        _RESOURCE,
        told,
        kind=SpanKind.CLIENT,
        status=Status(),
        start_time=start,
        end_time=start + round(record.total_seconds * 1e9),
        instrumentation_scope=_SCOPE,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--spans", type=int, default=4096)
    options = parser.parse_args()
    now = datetime.now(UTC)
    records = [
        make_usage(started_at=now, verb=Verb.CHAT_COMPLETION, trace=begun(None, None, 1)) for _ in range(options.spans)
    ]
    encoder = SpanEncoder(b"", b"")

    def ours(records: Sequence[UsageRecord]) -> bytes:
        return encoder.request([encoder.span(record, record.trace) for record in records if record.trace is not None])

    ways: dict[str, Callable[[Sequence[UsageRecord]], bytes]] = {"our encoder": ours, "OpenTelemetry's SDK": of_the_sdk}
    micros: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(options.rounds):
        for name, encoded in ways.items():
            before = time.process_time()
            for first in range(0, len(records), _BATCH):
                encoded(records[first : first + _BATCH])
            micros[name].append((time.process_time() - before) / len(records) * 1e6)
    print(machine())
    first = middle(micros["our encoder"])
    rows = [[name, f"{middle(all_):.1f}", spread(all_), f"{middle(all_) / first:.0f}"] for name, all_ in micros.items()]
    print(table(["", "processor time, µs a span", "min-max", "ratio"], rows))


if __name__ == "__main__":
    main()
