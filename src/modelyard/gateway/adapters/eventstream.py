"""Amazon's event-stream framing (``application/vnd.amazon.eventstream``), read: bytes in, events out.

Format: https://smithy.io/2.0/aws/amazon-eventstream.html. The framing itself, checksums included, is botocore's (extra
``bedrock``), which does no I/O for it, and which is imported only once it is needed.
"""

import importlib
import struct
from typing import Any

import msgspec

from modelyard.errors import UpstreamError
from modelyard.gateway.adapters.events import Event

_encode = msgspec.json.Encoder().encode
_MAX_WORDS = 2000


def botocore_part(name: str) -> Any:
    """botocore's module ``name``; raises `UpstreamError` where the extra is not installed."""
    try:
        return importlib.import_module(f"botocore.{name}")
    except ImportError as error:
        msg = "Calling AWS Bedrock takes a library that is not installed."
        raise UpstreamError(msg, code="missing_extra", hint="Run: pip install 'modelyard[bedrock]'") from error


class FrameParser:
    """Feed it bytes. Each message is an event of its ``:event-type``; an exception or an error is an event named
    ``error``, whose data is the JSON object of AWS's error answers: ``{"__type", "message"}``."""

    __slots__ = ("_broken", "_buffer", "_pending")

    def __init__(self) -> None:
        library = botocore_part("eventstream")
        self._buffer = library.EventStreamBuffer()
        self._broken = (library.ParserError, struct.error, ValueError, LookupError)
        self._pending = 0

    def feed(self, data: bytes) -> list[Event]:
        """The events completed by ``data``. Raises `UpstreamError` where a checksum is wrong or a length impossible."""
        events: list[Event] = []
        self._pending += len(data)
        self._buffer.add_data(data)
        try:
            for message in self._buffer:
                self._pending -= message.prelude.total_length
                events.append(_event(message.headers, message.payload))
        except self._broken as error:
            msg = f"The answer is no event stream as Amazon frames it: {error}."
            raise UpstreamError(msg, code="upstream_garbage") from error
        return events

    def flush(self) -> list[Event]:
        """Nothing: a message is whole, or it is none. Raises `UpstreamError` for half a message."""
        if self._pending:
            raise UpstreamError("The answer ended within a message.", code="upstream_cut_off")
        return []


def _event(headers: dict[str, Any], payload: bytes) -> Event:
    kind = headers.get(":message-type", "event")
    if kind == "event":
        return str(headers.get(":event-type", "")).encode(), payload
    if kind == "exception":
        return _error(headers.get(":exception-type"), _words(payload))
    return _error(headers.get(":error-code"), headers.get(":error-message"))


def _error(kind: object, words: object) -> Event:
    return b"error", _encode({"__type": str(kind or "unknown"), "message": str(words or "no explanation")})


def _words(payload: bytes) -> str:
    try:
        found = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = None
    words = found.get("message") if isinstance(found, dict) else None
    return words if isinstance(words, str) else payload[:_MAX_WORDS].decode("utf-8", "replace")
