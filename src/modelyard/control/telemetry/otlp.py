"""Spans of calls in OTLP's wire format (https://opentelemetry.io/docs/specs/otlp/, protobuf, trace service v1).

Why not the SDK: it takes 135 microseconds to make and encode one span and this 5, which is what decides whether all
traces can be sent at all (docs/adr/0002-spans.md). Fields are named as in opentelemetry/proto/trace/v1/trace.proto.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache

from modelyard.control.telemetry import conventions
from modelyard.domain.traces import Trace
from modelyard.domain.usage import Outcome, UsageRecord

_MOST_KNOWN = 4096
_TIMES = struct.Struct("<BQBQ")
_START, _END = 7 << 3 | 1, 8 << 3 | 1
_DOUBLE = struct.Struct("<d")
_CLIENT = 3
_STATUS_ERROR = 2
_FLAGS = {  # SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE, and _IS_REMOTE: whether the parent is somebody else's
    False: struct.pack("<HI", 16 << 3 | 5 | 1 << 8, 0x100),
    True: struct.pack("<HI", 16 << 3 | 5 | 1 << 8, 0x300),
}


def varint(number: int) -> bytes:
    """``number``, which is not negative, in groups of seven bits."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


@lru_cache(_MOST_KNOWN)
def _before(field: int, size: int) -> bytes:
    """What stands before ``size`` bytes that are ``field`` of a message."""
    return varint(field << 3 | 2) + varint(size)


def nested(field: int, content: bytes) -> bytes:
    """A message, a text or bytes as ``field`` of a message."""
    return _before(field, len(content)) + content


def text(value: str) -> bytes:
    # One lone surrogate would keep a whole batch from being read.
    return value.encode("utf-8", "replace")


def attribute(key: str, value: bytes) -> bytes:
    """A span's ``KeyValue`` whose value is an encoded ``AnyValue``."""
    return nested(9, nested(1, text(key)) + nested(2, value))


def whole(value: int) -> bytes:
    """An ``AnyValue`` that is a whole number."""
    return b"\x18" + varint(value % 2**64)  # whatever an upstream says that it counted


@lru_cache(_MOST_KNOWN)
def _tokens(prompt: int, response: int) -> bytes:
    return attribute(conventions.INPUT_TOKENS, whole(prompt)) + attribute(conventions.OUTPUT_TOKENS, whole(response))


@lru_cache(_MOST_KNOWN)
def _before_request_id(size: int) -> bytes:
    """All of its attribute but the id itself, which is so many bytes long."""
    whole = attribute(conventions.REQUEST_ID, nested(1, bytes(size)))
    return whole[: len(whole) - size]


_FIRST_BYTE = attribute(conventions.FIRST_BYTE_SECONDS, b"\x21" + bytes(_DOUBLE.size))[: -_DOUBLE.size]


class SpanEncoder:
    """Spans of one process, and the requests that carry them. What many calls have in common is encoded once."""

    def __init__(self, resource: bytes, scope: bytes) -> None:
        """Who tells: an encoded ``Resource`` and an ``InstrumentationScope``."""
        self._resource = nested(1, resource)
        self._scope = nested(1, scope)
        self._alike: dict[tuple[object, ...], bytes] = {}

    def span(self, record: UsageRecord, trace: Trace) -> bytes:
        """One call's, as an element of a request."""
        start = round(record.started_at.timestamp() * 1e6) * 1000
        request_id = text(record.request_id)
        parts = [
            b"\x0a\x10",
            bytes.fromhex(trace.trace_id),
            b"\x12\x08",
            bytes.fromhex(trace.span_id),
            _TIMES.pack(_START, start, _END, start + round(record.total_seconds * 1e9)),
            self._same(record),
            _FLAGS[trace.parent_id is not None],
            _before_request_id(len(request_id)),
            request_id,
            _tokens(record.prompt_tokens, record.response_tokens),
        ]
        if trace.parent_id is not None:
            parts += b"\x22\x08", bytes.fromhex(trace.parent_id)
        if trace.state:
            parts.append(nested(3, text(trace.state)))
        if record.first_byte_seconds is not None:
            parts += _FIRST_BYTE, _DOUBLE.pack(record.first_byte_seconds)
        return nested(2, b"".join(parts))

    def request(self, spans: Sequence[bytes]) -> bytes:
        """An ``ExportTraceServiceRequest`` with what `span` made, one or several at a time."""
        size = len(self._scope) + sum(map(len, spans))
        scope_spans = _before(2, size)
        resource_spans = _before(1, len(self._resource) + len(scope_spans) + size)
        return b"".join((resource_spans, self._resource, scope_spans, self._scope, *spans))

    def _same(self, record: UsageRecord) -> bytes:
        key = (
            record.key_id,
            record.account_id,
            record.deployment_id,
            record.served_by,
            record.model_name,
            record.vendor,
            record.vendor_model,
            record.verb,
            record.outcome,
            record.error_code,
        )
        same = self._alike.get(key)
        if same is None:
            if len(self._alike) >= _MOST_KNOWN:
                self._alike.clear()
            same = self._alike[key] = _encoded_alike(record)
        return same


def _encoded_alike(record: UsageRecord) -> bytes:
    parts = [nested(5, text(conventions.span_name(record))), b"\x30" + varint(_CLIENT)]
    parts += [attribute(key, nested(1, text(value))) for key, value in conventions.alike(record).items()]
    if record.outcome is Outcome.ERROR:
        status = nested(2, text(record.error_code or "")) if record.error_code else b""
        parts.append(nested(15, status + b"\x18" + varint(_STATUS_ERROR)))
    else:
        parts.append(nested(15, b""))
    return b"".join(parts)
