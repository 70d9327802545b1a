"""Both sides of a call as they went by, for accounts that keep them.

On the call's path nothing happens but keeping references: folding, redacting and compressing are for whoever takes
what was captured (`modelyard.gateway.ports.KeepsCalls`).
"""

from modelyard.domain.call_logs import CallLogSettings, Captured
from modelyard.gateway.metering import Call

_RAW_PER_KEPT = 16
"""An event stream is about so many times as long as the text in it."""
_MOST = 4 * 1024 * 1024


class Capture:
    """One call's. The answer is cut where it is far longer than what is kept of it."""

    __slots__ = ("_call", "_cut", "_left", "_path", "_pieces", "_request", "_settings")

    def __init__(self, call: Call, path: str, request: bytes, settings: CallLogSettings) -> None:
        self._call = call
        self._path = path
        self._request = request
        self._settings = settings
        self._pieces: list[bytes] = []
        self._cut = False
        self._left = min(_MOST, settings.max_body_bytes * _RAW_PER_KEPT)

    def add(self, data: bytes) -> None:
        """A piece of the answer."""
        if len(data) > self._left:
            self._cut = True
            data = data[: self._left]
        if data:
            self._pieces.append(data)
            self._left -= len(data)

    def ended(self) -> Captured | None:
        """All of it, once the call is over; None where it left no record."""
        record = self._call.record
        if record is None:
            return None
        return Captured(record, self._path, self._request, tuple(self._pieces), self._cut, self._settings)
