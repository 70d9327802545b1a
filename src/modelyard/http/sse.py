"""Server-Sent Events, written. Format: https://html.spec.whatwg.org/multipage/server-sent-events.html"""

from modelyard.errors import ModelyardError
from modelyard.http.errors import encoded

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # else nginx in front of us would hold pieces back
)


def event(data: bytes) -> bytes:
    """One event; ``data`` is JSON, so it has no line breaks."""
    return b"data: " + data + b"\n\n"


def comment(words: str) -> bytes:
    """A line that clients disregard."""
    return b": " + words.encode() + b"\n\n"


def error_event(error: ModelyardError, request_id: str) -> bytes:
    """A failure after the first byte: the error object that would have been the body."""
    return b"event: error\ndata: " + encoded(error, request_id) + b"\n\n"
