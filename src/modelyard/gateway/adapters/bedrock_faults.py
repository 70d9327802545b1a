"""What Bedrock's errors mean.

https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html. An answer's type stands in
its header ``x-amzn-ErrorType`` and sometimes in the body's ``__type``; the status says nearly as much, the message the
rest. In a stream the type is the event's own.
"""

import re

import msgspec

from modelyard.errors import ModelyardError
from modelyard.gateway.adapters import bedrock_wire as wire
from modelyard.gateway.adapters.faults import explanation
from modelyard.gateway.adapters.vendor_faults import Fault, by_status, vendor_error

_error_body = msgspec.json.Decoder(wire.ErrorBody)

_TYPES = {
    "accessdenied": Fault.CREDENTIALS,
    "unrecognizedclient": Fault.CREDENTIALS,
    "expiredtoken": Fault.CREDENTIALS,
    "invalidsignature": Fault.CREDENTIALS,
    "incompletesignature": Fault.CREDENTIALS,
    "missingauthenticationtoken": Fault.CREDENTIALS,
    "resourcenotfound": Fault.UNKNOWN_MODEL,
    "throttling": Fault.RATE_LIMITED,
    "servicequotaexceeded": Fault.RATE_LIMITED,
    "modelnotready": Fault.BUSY,
    "serviceunavailable": Fault.BUSY,
    "modeltimeout": Fault.SLOW,
    "modelerror": Fault.FAILED,
    "modelstreamerror": Fault.FAILED,
    "internalserver": Fault.FAILED,
    "internalfailure": Fault.FAILED,
    "validation": Fault.REFUSED,
}
"""By the type's name, without ``Exception`` and in lower case."""

_WORDS = (
    (Fault.TOO_LONG, r"input is too long|prompt is too long|too many (input|total) tokens|input tokens exceed"
                     r"|maximum context length|exceed context limit|too large for the model"),
    (Fault.CREDENTIALS, r"security token .*(invalid|expired)|authentication failed"),
    (Fault.UNKNOWN_MODEL, r"model identifier is invalid|on-demand throughput|model id(entifier)? .*(not|doesn't) exist"
                          r"|end of its life|marked by provider as legacy"),
    (Fault.FILTERED, r"blocked by content filtering|content filtering policy"),
)  # fmt: skip
"""What a refusal's words say more precisely."""

_MAX_TOKENS = re.compile(r"maximum tokens you requested|max_?tokens", re.IGNORECASE)


def bedrock_error(vendor: str, status: int, body: bytes) -> ModelyardError:
    """The error behind an answer of ``status``."""
    kind, text = _read(body)
    return _told(vendor, _TYPES.get(_named(kind)) or by_status(status), text)


def stream_error(vendor: str, payload: bytes) -> ModelyardError:
    """The error in an event of a stream (see `modelyard.gateway.adapters.eventstream`)."""
    kind, text = _read(payload)
    return _told(vendor, _TYPES.get(_named(kind), Fault.FAILED), text)


def _told(vendor: str, fault: Fault, text: str) -> ModelyardError:
    if fault is Fault.REFUSED:
        fault = next((meant for meant, words in _WORDS if re.search(words, text, re.IGNORECASE)), fault)
    elif fault is Fault.RATE_LIMITED and "not ready" in text:  # the other 429, ModelNotReadyException
        fault = Fault.BUSY
    field = "max_tokens" if fault is Fault.REFUSED and _MAX_TOKENS.search(text) else None
    return vendor_error(fault, vendor, text, field=field)


def _read(body: bytes) -> tuple[str, str]:
    """Type, where the body tells it, and words."""
    try:
        found = _error_body.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", explanation(body)
    return found.type or "", found.message or found.Message or explanation(body)


def _named(kind: str) -> str:
    """``com.amazonaws.bedrock#ThrottlingException:http://…`` is ``throttling``."""
    name = kind.rsplit("#", 1)[-1].split(":", 1)[0].lower()
    return name.removesuffix("exception")
