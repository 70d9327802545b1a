"""Spans and metrics as the conventions for generative AI have them, and a call's place in its trace."""

from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData

from modelyard.control.telemetry import conventions
from modelyard.control.telemetry.open_telemetry import Telemetry, is_wanted
from modelyard.domain.traces import Trace, begun
from modelyard.domain.usage import Outcome, Verb
from modelyard.settings import OtelSettings
from modelyard.testing.usage import make_usage

TRACE, PARENT, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "b7ad6b7169203331"
USED = "gen_ai.client.token.usage"
GIVEN = f"00-{TRACE}-{PARENT}-01"


def test_the_callers_trace_goes_on() -> None:
    trace = begun(GIVEN, "vendor=x", 0)
    assert (trace.trace_id, trace.parent_id, trace.sampled) == (TRACE, PARENT, True)
    assert trace.span_id not in (PARENT, "0" * 16)
    assert trace.headers == (("traceparent", f"00-{TRACE}-{trace.span_id}-01"), ("tracestate", "vendor=x"))
    assert not begun(GIVEN[:-1] + "0", None, 1).sampled, "the caller has decided"


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "nonsense",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        GIVEN + "-more",
    ],
)
def test_what_is_no_traceparent_begins_a_trace(text: str | None) -> None:
    trace = begun(text, "vendor=x", 1)
    assert trace.trace_id != TRACE
    assert (trace.parent_id, trace.sampled, trace.state) == (None, True, "")
    assert not begun(text, None, 0).sampled


def test_later_versions_are_read_and_bad_states_are_left_out() -> None:
    assert begun(f"01-{TRACE}-{PARENT}-01-more", None, 0).trace_id == TRACE
    assert begun(GIVEN, "a\r\nx-evil: 1", 0).state == ""
    assert begun(GIVEN, "x" * 513, 0).state == ""


class KeptMetrics(MetricExporter):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[MetricsData] = []
        self.is_shut_down = False

    def export(self, metrics_data: MetricsData, timeout_millis: float = 0, **kwargs: Any) -> MetricExportResult:
        self.kept.append(metrics_data)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 0) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 0, **kwargs: Any) -> None:
        self.is_shut_down = True


class KeptSpans:
    """Whoever receives traces."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.is_closed = False

    def send(self, data: bytes) -> bool:
        self.requests.append(ExportTraceServiceRequest.FromString(data))
        return True

    def end(self) -> None: ...

    def close(self) -> None:
        self.is_closed = True

    @property
    def spans(self) -> list[Span]:
        return [s for r in self.requests for rs in r.resource_spans for ss in rs.scope_spans for s in ss.spans]


def told_by(span: Span) -> dict[str, Any]:
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in span.attributes}


def _service(request: ExportTraceServiceRequest) -> list[Any]:
    """Who tells."""
    resources = [spans.resource for spans in request.resource_spans]
    return [each for resource in resources for each in resource.attributes if each.key == "service.name"]


def otlp_bytes(data: MetricsData) -> bytes:
    """What goes over the wire: the SDK's own encoder has to understand the data."""
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics

    encoded: bytes = encode_metrics(data).SerializeToString()
    return encoded


def test_a_span_for_a_call() -> None:
    receiver, metrics = KeptSpans(), KeptMetrics()
    telemetry = Telemetry(OtelSettings(), receiver=receiver, metrics=metrics)
    record = make_usage(
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        verb=Verb.CHAT_COMPLETION,
        model_name="gpt",
        vendor="OPENAI",
        vendor_model="gpt-5",
        prompt_tokens=7,
        response_tokens=3,
        total_seconds=1.5,
        trace=Trace(TRACE, SPAN, PARENT, True),
    )
    failed = make_usage(outcome=Outcome.ERROR, error_code="queue_full", trace=Trace(TRACE, SPAN, None, True))
    unsampled = make_usage(trace=Trace(TRACE, SPAN, None, False))
    telemetry.tell([record, failed, unsampled])
    telemetry.tell([make_usage()])
    telemetry.close()
    [sent_metrics] = metrics.kept
    assert metrics.is_shut_down
    assert otlp_bytes(sent_metrics)
    points = {
        metric.name: list(metric.data.data_points)
        for resource in sent_metrics.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    [resource] = {attribute.value.string_value for each in receiver.requests for attribute in _service(each)}
    assert resource == "modelyard"
    first, second = receiver.spans
    assert receiver.is_closed
    assert (first.name, first.kind) == ("chat gpt", Span.SPAN_KIND_CLIENT)
    assert (first.trace_id.hex(), first.span_id.hex(), first.parent_span_id.hex()) == (TRACE, SPAN, PARENT)
    assert first.end_time_unix_nano - first.start_time_unix_nano == 1_500_000_000
    told = told_by(first)
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.provider.name"] == "openai"
    assert (told["gen_ai.request.model"], told["gen_ai.response.model"]) == ("gpt", "gpt-5")
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (7, 3)
    assert told["modelyard.request_id"] == "request"
    assert second.status.code == Status.STATUS_CODE_ERROR
    assert not second.parent_span_id
    assert told_by(second)["error.type"] == "queue_full"
    assert sum(point.count for point in points["gen_ai.client.operation.duration"]) == 4
    [sent] = [
        p for p in points["gen_ai.client.token.usage"] if p.attributes["gen_ai.token.type"] == "input" and p.sum == 7
    ]
    assert sent.attributes["gen_ai.request.model"] == "gpt"
    assert "gen_ai.server.time_to_first_token" in points
    longest = max(points["gen_ai.client.operation.duration"], key=lambda point: point.max)
    assert (longest.count, longest.sum, longest.min, longest.max) == (1, 1.5, 1.5, 1.5)
    bound = longest.explicit_bounds.index(2.56)
    assert longest.bucket_counts[bound] == 1 == sum(longest.bucket_counts)


def test_providers_have_the_names_of_the_conventions_and_others_their_own() -> None:
    known = {
        "OPENAI": "openai",
        "ANTHROPIC": "anthropic",
        "COHERE": "cohere",
        "GOOGLE": "gcp.gemini",
        "VERTEX_AI": "gcp.vertex_ai",
        "BEDROCK": "aws.bedrock",
    }
    for vendor, provider in {**known, "FIREWORKS_AI": "fireworks_ai", None: "modelyard"}.items():
        assert conventions.common(make_usage(vendor=vendor))["gen_ai.provider.name"] == provider


def test_off_unless_something_names_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_SDK_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    assert not is_wanted(OtelSettings())
    assert is_wanted(OtelSettings(endpoint="http://collector:4318"))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    assert is_wanted(OtelSettings())
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert not is_wanted(OtelSettings(endpoint="http://collector:4318"))
