"""Spans encoded here are those that OpenTelemetry's own SDK would have sent."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceState

from modelyard.control.telemetry import conventions
from modelyard.control.telemetry.open_telemetry import _encoded
from modelyard.control.telemetry.otlp import SpanEncoder
from modelyard.domain.traces import Trace
from modelyard.domain.usage import Outcome, UsageRecord, Verb
from modelyard.testing.usage import make_usage

TRACE, PARENT, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "b7ad6b7169203331"
RESOURCE = Resource.create({"service.name": "modelyard", "number": 7, "list": ["a", "b"]})
SCOPE = InstrumentationScope("modelyard")
FAILED = {"outcome": Outcome.ERROR, "first_byte_seconds": None}
CALLS: list[dict[str, Any]] = [
    {},
    {"verb": Verb.CHAT_COMPLETION, "vendor": "ANTHROPIC", "vendor_model": "claude", "served_by": "another"},
    {"verb": Verb.EXECUTE, "vendor": "LLMENGINE", "outcome": Outcome.CANCELLED},
    {"verb": Verb.RERANKING, "error_code": "queue_full", **FAILED},
    {"verb": Verb.COMPLETION, "error_code": "", **FAILED},
    {"prompt_tokens": 0, "response_tokens": 0, "first_byte_seconds": 0.0, "total_seconds": 0.0},
    {"trace": Trace(TRACE, SPAN, None, True)},
    {"trace": Trace(TRACE, SPAN, PARENT, True, "vendor=x,other=y")},
]


def of_the_sdk(record: UsageRecord) -> Any:
    """The request with the span of one call."""
    trace = record.trace
    assert trace is not None
    state = TraceState.from_header([trace.state])
    ours = SpanContext(int(trace.trace_id, 16), int(trace.span_id, 16), is_remote=False, trace_state=state)
    parent = trace.parent_id and SpanContext(int(trace.trace_id, 16), int(trace.parent_id, 16), is_remote=True)
    begun = record.started_at - datetime(1970, 1, 1, tzinfo=UTC)
    start = (begun.days * 86_400 + begun.seconds) * 10**9 + begun.microseconds * 1000
    told: dict[str, Any] = {
        **conventions.alike(record),
        "modelyard.request_id": record.request_id,
        "gen_ai.usage.input_tokens": record.prompt_tokens,
        "gen_ai.usage.output_tokens": record.response_tokens,
    }
    if record.first_byte_seconds is not None:
        told["modelyard.first_byte_seconds"] = record.first_byte_seconds
    failed = record.outcome is Outcome.ERROR
    span = ReadableSpan(
        conventions.span_name(record),
        ours,
        parent or None,
        RESOURCE,
        told,
        kind=SpanKind.CLIENT,
        status=Status(StatusCode.ERROR, record.error_code) if failed else Status(),
        start_time=start,
        end_time=start + round(record.total_seconds * 1e9),
        instrumentation_scope=SCOPE,
    )
    return encode_spans([span])


def sorted_in(request: Any) -> Any:
    """Attributes have no order."""
    for span in request.resource_spans[0].scope_spans[0].spans:
        attributes = sorted(span.attributes, key=lambda each: str(each.key))
        del span.attributes[:]
        span.attributes.extend(attributes)
    return request


def read(encoder: SpanEncoder, *records: UsageRecord) -> Any:
    spans = [encoder.span(record, record.trace) for record in records if record.trace is not None]
    return ExportTraceServiceRequest.FromString(encoder.request([b"".join(spans[:2]), *spans[2:]]))


def test_they_say_what_the_sdk_says() -> None:
    encoder = SpanEncoder(*_encoded(RESOURCE, SCOPE))
    for changes in CALLS:
        record = make_usage(**{"trace": Trace(TRACE, SPAN, PARENT, True), "model_name": "gpt", **changes})
        assert sorted_in(read(encoder, record)) == sorted_in(of_the_sdk(record)), changes


@settings(max_examples=30, deadline=None)
@given(
    names=st.tuples(*[st.text(st.characters(codec="utf-8"), max_size=400)] * 2),
    tokens=st.tuples(*[st.integers(-(2**63), 2**63 - 1)] * 2),
    at=st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    seconds=st.floats(0, 1e6),
)
def test_whatever_the_values(names: tuple[str, str], tokens: tuple[int, int], at: datetime, seconds: float) -> None:
    record = make_usage(
        model_name=names[0],
        request_id=names[1],
        prompt_tokens=tokens[0],
        response_tokens=tokens[1],
        started_at=at,
        first_byte_seconds=seconds,
        total_seconds=seconds,
        trace=Trace(TRACE, SPAN, None, True),
    )
    encoder = SpanEncoder(*_encoded(RESOURCE, SCOPE))
    assert sorted_in(read(encoder, record)) == sorted_in(of_the_sdk(record))


def test_many_in_one_request_each_with_its_own() -> None:
    calls = [
        make_usage(request_id=f"r{n}", model_name=f"m{n % 2}", trace=Trace(TRACE, SPAN, None, True)) for n in range(5)
    ]
    [told] = read(SpanEncoder(*_encoded(RESOURCE, SCOPE)), *calls).resource_spans
    [scope] = told.scope_spans
    assert [span.name for span in scope.spans] == [f"embeddings m{n % 2}" for n in range(5)]
    ids = [
        value.value.string_value for s in scope.spans for value in s.attributes if value.key == conventions.REQUEST_ID
    ]
    assert ids == [f"r{n}" for n in range(5)]


def test_a_name_that_is_no_text_does_not_spoil_a_request() -> None:
    record = make_usage(model_name="a\udcff", request_id="b\udcff", trace=Trace(TRACE, SPAN, None, True))
    [told] = read(SpanEncoder(b"", b""), record).resource_spans
    assert told.scope_spans[0].spans[0].name == "embeddings a?"
