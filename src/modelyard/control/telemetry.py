"""Spans and metrics for OpenTelemetry, by its conventions for generative AI
(https://opentelemetry.io/docs/specs/semconv/gen-ai/), made of usage records after their calls.

Needs the extra ``otel``; the SDK's own threads send what is told here.
"""

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from modelyard.control.tallies import Attributes, Exporting, Histograms, Kind
from modelyard.domain.traces import Trace
from modelyard.domain.usage import Outcome, UsageRecord, Verb
from modelyard.errors import ConfigurationError
from modelyard.settings import OtelSettings

_STANDARD = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_OPERATIONS = {
    Verb.CHAT_COMPLETION: "chat",
    Verb.COMPLETION: "text_completion",
    Verb.EMBEDDING: "embeddings",
    Verb.RERANKING: "rerank",
    Verb.EXECUTE: "execute",
}
_PROVIDERS = {
    "OPENAI": "openai",
    "ANTHROPIC": "anthropic",
    "COHERE": "cohere",
    "GOOGLE": "gcp.gemini",
    "VERTEX_AI": "gcp.vertex_ai",
    "BEDROCK": "aws.bedrock",
}
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKEN_USAGE = Kind("gen_ai.client.token.usage", "{token}", "Tokens used", _TOKENS)
_DURATION = Kind("gen_ai.client.operation.duration", "s", "Whole calls", _SECONDS)
_FIRST_BYTE = Kind("gen_ai.server.time_to_first_token", "s", "To the first byte", _SECONDS)
_INPUT, _OUTPUT = ("gen_ai.token.type", "input"), ("gen_ai.token.type", "output")
_EXPORT_SECONDS = 60.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def is_wanted(settings: OtelSettings) -> bool:
    """Whether anything names where to send to."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    return settings.endpoint is not None or any(os.environ.get(name) for name in _STANDARD)


Values = dict[tuple[Kind, Attributes], list[float]]


class Telemetry:
    """Of one process. `close` sends what is left."""

    def __init__(self, settings: OtelSettings, *, exporter: Any = None, metrics: Any = None) -> None:
        """``exporter`` of spans and the one of ``metrics`` take the place of those that send by OTLP over HTTP."""
        try:
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import ReadableSpan
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.util.instrumentation import InstrumentationScope
            from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
        except ImportError as error:
            raise ConfigurationError(
                "OpenTelemetry needs packages that are not installed.", hint="pip install 'modelyard[otel]'"
            ) from error
        self._resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "modelyard")})
        self._scope = InstrumentationScope("modelyard")
        self._made, self._context, self._kind = ReadableSpan, SpanContext, SpanKind.CLIENT
        self._flags = TraceFlags(TraceFlags.SAMPLED)
        self._fine, self._failed = Status(StatusCode.UNSET), partial(Status, StatusCode.ERROR)
        self._spans = BatchSpanProcessor(exporter or _span_exporter(settings))
        self._histograms = Histograms((_TOKEN_USAGE, _DURATION, _FIRST_BYTE))
        data = partial(self._histograms.data, self._resource, self._scope)
        self._exporting = Exporting(metrics or _metric_exporter(settings), data, _export_seconds())

    def tell(self, records: Iterable[UsageRecord]) -> None:
        """Calls that are over."""
        values: Values = {}
        for record in records:
            common = _common(record)
            _measure(record, tuple(common.items()), values)
            if record.trace is not None and record.trace.sampled:
                self._spans.on_end(self._span(record, record.trace, common))
        self._histograms.add(values)

    def close(self) -> None:
        """Send what is left; waits for whoever receives it, for some seconds at most."""
        self._spans.shutdown()  # type: ignore[no-untyped-call]
        self._exporting.close()

    def _span(self, record: UsageRecord, trace: Trace, common: Mapping[str, str]) -> Any:
        trace_id, context = int(trace.trace_id, 16), self._context
        parent = None if trace.parent_id is None else context(trace_id, int(trace.parent_id, 16), True, self._flags)
        start = (record.started_at - _EPOCH).total_seconds()
        failed = record.outcome is Outcome.ERROR
        return self._made(
            name=f"{common['gen_ai.operation.name']} {record.model_name}",
            context=context(trace_id, int(trace.span_id, 16), False, self._flags),
            parent=parent,
            resource=self._resource,
            attributes={**common, **_details(record)},
            kind=self._kind,
            status=self._failed(record.error_code) if failed else self._fine,
            start_time=round(start * 1e9),
            end_time=round((start + record.total_seconds) * 1e9),
            instrumentation_scope=self._scope,
        )


def _measure(record: UsageRecord, common: Attributes, values: "Values") -> None:
    values.setdefault((_DURATION, common), []).append(record.total_seconds)
    if record.first_byte_seconds is not None:
        values.setdefault((_FIRST_BYTE, common), []).append(record.first_byte_seconds)
    for token_type, tokens in ((_INPUT, record.prompt_tokens), (_OUTPUT, record.response_tokens)):
        if tokens:
            values.setdefault((_TOKEN_USAGE, (*common, token_type)), []).append(tokens)


def _common(record: UsageRecord) -> dict[str, str]:
    """What spans and metrics say alike: few values, since every combination is a series of its own."""
    provider = "modelyard" if record.vendor is None else _PROVIDERS.get(record.vendor, record.vendor.lower())
    common = {
        "gen_ai.operation.name": _OPERATIONS[record.verb],
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": record.model_name,
    }
    if record.error_code is not None:
        common["error.type"] = record.error_code
    return common


def _details(record: UsageRecord) -> dict[str, str | int | float]:
    details: dict[str, str | int | float] = {
        "gen_ai.response.model": record.vendor_model or record.model_name,
        "gen_ai.usage.input_tokens": record.prompt_tokens,
        "gen_ai.usage.output_tokens": record.response_tokens,
        "modelyard.request_id": record.request_id,
        "modelyard.account_id": record.account_id,
        "modelyard.key_id": record.key_id,
        "modelyard.deployment_id": record.deployment_id,
        "modelyard.served_by": record.served_by or record.deployment_id,
        "modelyard.outcome": record.outcome.value,
    }
    if record.first_byte_seconds is not None:
        details["modelyard.first_byte_seconds"] = record.first_byte_seconds
    return details


def _span_exporter(settings: OtelSettings) -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=_address(settings, "traces"))


def _metric_exporter(settings: OtelSettings) -> Any:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter(endpoint=_address(settings, "metrics"))


def _export_seconds() -> float:
    """As the standard variable says, in milliseconds."""
    try:
        return max(1.0, float(os.environ["OTEL_METRIC_EXPORT_INTERVAL"]) / 1000)
    except (KeyError, ValueError):
        return _EXPORT_SECONDS


def _address(settings: OtelSettings, what: str) -> str | None:
    """None: as the standard variables say."""
    return None if settings.endpoint is None else f"{settings.endpoint.rstrip('/')}/v1/{what}"
