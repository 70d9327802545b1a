"""Spans and metrics for OpenTelemetry, made of usage records after their calls.

Needs the extra ``otel``: metrics, who tells, and the encoding of both are the SDK's. Spans are encoded and sent by
`modelyard.control.telemetry.otlp` and `modelyard.control.telemetry.span_sender`.
"""

import os
from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

from modelyard.control.telemetry import conventions
from modelyard.control.telemetry.otlp import SpanEncoder
from modelyard.control.telemetry.otlp_receiver import Receiver
from modelyard.control.telemetry.span_sender import Receives, SpanSender
from modelyard.control.telemetry.tallies import Attributes, Exporting, Histograms, Kind
from modelyard.domain.usage import UsageRecord
from modelyard.errors import ConfigurationError
from modelyard.settings import OtelSettings

_STANDARD = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKEN_USAGE = Kind("gen_ai.client.token.usage", "{token}", "Tokens used", _TOKENS)
_DURATION = Kind("gen_ai.client.operation.duration", "s", "Whole calls", _SECONDS)
_FIRST_BYTE = Kind("gen_ai.server.time_to_first_token", "s", "To the first byte", _SECONDS)
_INPUT, _OUTPUT = ("gen_ai.token.type", "input"), ("gen_ai.token.type", "output")
_EXPORT_SECONDS = 60.0


def is_wanted(settings: OtelSettings) -> bool:
    """Whether anything names where to send to."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    return settings.endpoint is not None or any(os.environ.get(name) for name in _STANDARD)


Values = dict[tuple[Kind, Attributes], list[float]]


class _Measured(NamedTuple):
    """Of calls whose `conventions.common` is one."""

    common: Attributes
    seconds: list[float]
    first_bytes: list[float]
    prompts: list[float]
    responses: list[float]

    def values(self) -> Values:
        told = {
            (_DURATION, self.common): self.seconds,
            (_FIRST_BYTE, self.common): self.first_bytes,
            (_TOKEN_USAGE, (*self.common, _INPUT)): self.prompts,
            (_TOKEN_USAGE, (*self.common, _OUTPUT)): self.responses,
        }
        return {key: values for key, values in told.items() if values}


class Telemetry:
    """Of one process. `close` sends what is left."""

    def __init__(self, settings: OtelSettings, *, receiver: Receives | None = None, metrics: Any = None) -> None:
        """``receiver`` of spans and the exporter of ``metrics`` take the place of those that send by OTLP over HTTP."""
        try:
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        except ImportError as error:
            raise ConfigurationError(
                "OpenTelemetry needs packages that are not installed.", hint="pip install 'modelyard[otel]'"
            ) from error
        resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "modelyard")})
        scope = InstrumentationScope("modelyard")
        self._encoder = SpanEncoder(*_encoded(resource, scope))
        self._sender = SpanSender(receiver or Receiver(_address(settings, "traces")), self._encoder.request)
        self._histograms = Histograms((_TOKEN_USAGE, _DURATION, _FIRST_BYTE))
        data = partial(self._histograms.data, resource, scope)
        self._exporting = Exporting(metrics or _metric_exporter(settings), data, _export_seconds())

    def tell(self, records: Iterable[UsageRecord]) -> None:
        """Calls that are over."""
        measured: dict[tuple[object, ...], _Measured] = {}
        spans = []
        for record in records:
            _measure(record, measured)
            if record.trace is not None and record.trace.sampled:
                spans.append(self._encoder.span(record, record.trace))
        for each in measured.values():
            self._histograms.add(each.values())
        if spans:
            self._sender.put(b"".join(spans), len(spans))

    def close(self) -> None:
        """Send what is left; waits for whoever receives it, for some seconds at most."""
        self._sender.close()
        self._exporting.close()


def _measure(record: UsageRecord, measured: dict[tuple[object, ...], _Measured]) -> None:
    key = (record.verb, record.vendor, record.model_name, record.error_code)
    series = measured.get(key)
    if series is None:
        series = measured[key] = _Measured(tuple(conventions.common(record).items()), [], [], [], [])
    series.seconds.append(record.total_seconds)
    if record.first_byte_seconds is not None:
        series.first_bytes.append(record.first_byte_seconds)
    if record.prompt_tokens:
        series.prompts.append(record.prompt_tokens)
    if record.response_tokens:
        series.responses.append(record.response_tokens)


def _encoded(resource: Any, scope: Any) -> tuple[bytes, bytes]:
    """Who tells, as the SDK's own encoder has it."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext

    nobody = SpanContext(1, 1, is_remote=False)
    [told] = encode_spans([ReadableSpan("", nobody, resource=resource, instrumentation_scope=scope)]).resource_spans
    return told.resource.SerializeToString(), told.scope_spans[0].scope.SerializeToString()


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
