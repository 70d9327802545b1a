"""Server-Sent Events, read: bytes in, events out, however the bytes are cut.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from modelyard.errors import UpstreamError

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""Of one event; a worker that never ends a line must not fill the gateway's memory."""

Event = tuple[bytes, bytes]
"""(event name, data); the name is empty where none was given."""


class EventParser:
    """Feed it bytes; events whose data is empty are left out, comments and unknown fields too."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Event]:
        buffer = self._buffer + data if self._buffer else data
        if b"\r" in buffer:
            # A carriage return at the very end may be the first half of a line's end.
            tail = b"\r" if buffer.endswith(b"\r") else b""
            buffer = buffer[: len(buffer) - len(tail)].replace(b"\r\n", b"\n").replace(b"\r", b"\n") + tail
        blocks = buffer.split(b"\n\n")
        self._buffer = blocks.pop()
        if len(self._buffer) > MAX_EVENT_BYTES:
            raise UpstreamError(f"The worker streams an event of more than {MAX_EVENT_BYTES} bytes.")
        return [event for block in blocks if (event := _parse(block)) is not None]

    def flush(self) -> list[Event]:
        """The event that lacks only its final empty line."""
        block, self._buffer = self._buffer.rstrip(b"\r\n"), b""
        event = _parse(block)
        return [event] if event is not None else []


def _parse(block: bytes) -> Event | None:
    if block.startswith(b"data: ") and b"\n" not in block:
        return b"", block[6:]
    name = b""
    data: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
        elif field == b"error":
            # llama.cpp's server reports errors in a field of its own.
            name = b"error"
            data.append(value)
    joined = b"\n".join(data)
    return (name, joined) if joined else None
