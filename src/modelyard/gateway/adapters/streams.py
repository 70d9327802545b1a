"""What all streams of chunks have in common: events in, chunks out, and exactly one last chunk."""

from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol

from modelyard.domain.inference import Chunk
from modelyard.errors import ModelyardError, UpstreamError
from modelyard.gateway.adapters.events import Event, EventParser
from modelyard.gateway.adapters.faults import stream_error


class Counts(NamedTuple):
    """Tokens, as far as the server told."""

    prompt: int | None = None
    response: int | None = None
    cached: int | None = None
    """Of the prompt's: read from a cache."""
    reasoning: int | None = None
    """Of the response's: spent on reasoning."""


class Events(Protocol):
    """Bytes in, (name, data) out: Server-Sent Events, or another framing."""

    def feed(self, data: bytes) -> list[Event]: ...

    def flush(self) -> list[Event]: ...


class ChunkStream(ABC):
    """A format says how one event is read. The last chunk, with finish reason and counts, goes out when the format
    finishes, at ``[DONE]``, or with the end of the body; a body that ends before any finish reason was cut off."""

    __slots__ = ("_done", "_events", "_finish_reason")

    def __init__(self, events: Events | None = None) -> None:
        self._events = EventParser() if events is None else events
        self._finish_reason: str | None = None
        self._done = False

    def feed(self, data: bytes) -> list[Chunk]:
        chunks: list[Chunk] = []
        for name, payload in self._events.feed(data):
            self._take(name, payload, chunks)
        return chunks

    def flush(self) -> list[Chunk]:
        chunks: list[Chunk] = []
        for name, payload in self._events.flush():
            self._take(name, payload, chunks)
        if self._done:
            return chunks
        if self._finish_reason is None:
            raise UpstreamError("The worker's answer ended half-way.", code="upstream_cut_off")
        self._finish(chunks)
        return chunks

    def _take(self, name: bytes, payload: bytes, chunks: list[Chunk]) -> None:
        if self._done:
            return
        if payload == b"[DONE]":
            self._finish(chunks)
        elif name == b"error":
            raise self._error(payload)
        else:
            self._read(payload, chunks)

    def _finish(self, chunks: list[Chunk]) -> None:
        self._done = True
        prompt, response, cached, reasoning = self._tokens()
        reason = self._finish_reason or "stop"
        chunks.append(Chunk("", None, reason, prompt, response, cached_tokens=cached, reasoning_tokens=reasoning))

    def _error(self, payload: bytes) -> ModelyardError:
        """What an event named ``error`` means."""
        return stream_error(payload)

    @abstractmethod
    def _read(self, payload: bytes, chunks: list[Chunk]) -> None:
        """Read one event: append its pieces, keep its finish reason and counts."""

    @abstractmethod
    def _tokens(self) -> Counts: ...
