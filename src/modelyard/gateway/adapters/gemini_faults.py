"""What Google's error answers mean: ``{"error": {"code", "message", "status", "details"}}``, also as the one element of
an array, which is how streams that are not Server-Sent Events begin.

Sources: https://ai.google.dev/gemini-api/docs/troubleshooting, https://cloud.google.com/apis/design/errors.
"""

import re

import msgspec

from modelyard.errors import ModelyardError
from modelyard.gateway.adapters import gemini_wire as wire
from modelyard.gateway.adapters.faults import explanation
from modelyard.gateway.adapters.vendor_faults import Fault, by_status, vendor_error

_error = msgspec.json.Decoder(wire.ErrorAnswer | list[wire.ErrorAnswer])

_BY_REASON = {
    "API_KEY_INVALID": Fault.CREDENTIALS,  # comes with status 400
    "API_KEY_SERVICE_BLOCKED": Fault.CREDENTIALS,
    "SERVICE_DISABLED": Fault.CREDENTIALS,
    "BILLING_DISABLED": Fault.UNPAID,
}
_BY_STATUS = {
    "UNAUTHENTICATED": Fault.CREDENTIALS,
    "PERMISSION_DENIED": Fault.CREDENTIALS,
    "NOT_FOUND": Fault.UNKNOWN_MODEL,
    "RESOURCE_EXHAUSTED": Fault.RATE_LIMITED,
    "UNAVAILABLE": Fault.BUSY,
    "DEADLINE_EXCEEDED": Fault.SLOW,
    "INTERNAL": Fault.FAILED,
}
_BY_WORDS = (
    (re.compile(r"token count.*exceeds the maximum|input context is too long", re.IGNORECASE), Fault.TOO_LONG),
    (re.compile(r"api key (not valid|expired|not found)", re.IGNORECASE), Fault.CREDENTIALS),
    (re.compile(r"billing", re.IGNORECASE), Fault.UNPAID),
)
"""Of INVALID_ARGUMENT and FAILED_PRECONDITION, which are many things."""

_FIELDS = {
    "contents": "messages",
    "max_output_tokens": "max_tokens",
    "response_schema": "response_format",
    "response_json_schema": "response_format",
    "response_logprobs": "logprobs",
    "logprobs": "top_logprobs",
    "thinking_config": "reasoning_effort",
    "thinking_level": "reasoning_effort",
    "thinking_budget": "reasoning_effort",
    "function_declarations": "tools",
    **{name: name for name in ("temperature", "top_p", "top_k", "stop_sequences", "seed", "tools")},
    **{name: name for name in ("frequency_penalty", "presence_penalty")},
}
"""A request's own name for what the vendor calls a field."""


def gemini_error(vendor: str, status: int, body: bytes) -> ModelyardError:
    """The error behind an answer of ``status``, or behind an event of a stream (status 200)."""
    try:
        answer = _error.decode(body)
        fault = answer[0].error if isinstance(answer, list) else answer.error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, IndexError):
        return vendor_error(by_status(status), vendor, explanation(body))
    text = fault.message or fault.status or "no explanation"
    return vendor_error(_what(fault, status), vendor, text, field=_field(fault), retry_after=_retry_after(fault))


def _what(fault: wire.Fault, status: int) -> Fault:
    for detail in fault.details:
        if (known := _BY_REASON.get(detail.reason or "")) is not None:
            return known
    if (known := _BY_STATUS.get(fault.status)) is not None:
        return known
    for words, what in _BY_WORDS:
        if words.search(fault.message):
            return what
    return by_status(fault.code if 400 <= fault.code < 600 else status)


def _retry_after(fault: wire.Fault) -> float | None:
    for detail in fault.details:
        if detail.retry_delay and re.fullmatch(r"\d{1,6}(\.\d+)?s", detail.retry_delay):
            return float(detail.retry_delay[:-1])
    return None


def _field(fault: wire.Fault) -> str | None:
    for detail in fault.details:
        for violation in detail.field_violations:
            for step in reversed(re.split(r"[.\[\]]+", str(violation.get("field", "")))):
                if (ours := _FIELDS.get(_snake(step))) is not None:
                    return ours
    return None


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower()
