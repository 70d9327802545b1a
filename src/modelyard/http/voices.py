"""How errors are told: each surface has its own shape, whoever notices the error first."""

from typing import Protocol

from modelyard.errors import ModelyardError
from modelyard.http import errors, sse
from modelyard.http import openai_errors as openai


class Voice(Protocol):
    def status_of(self, error: ModelyardError) -> int: ...

    def encoded(self, error: ModelyardError, request_id: str) -> bytes:
        """The body of a response that is this error."""
        ...

    def event(self, error: ModelyardError, request_id: str) -> bytes:
        """The last event of a stream that fails half-way."""
        ...


class _Native:
    status_of = staticmethod(errors.status_of)
    encoded = staticmethod(errors.encoded)
    event = staticmethod(sse.error_event)


class _OpenAI:
    status_of = staticmethod(openai.status_of)
    encoded = staticmethod(openai.encoded)
    event = staticmethod(openai.error_event)


_NATIVE, _OPENAI = _Native(), _OpenAI()


def voice_at(path: str) -> Voice:
    """The voice of the surface that ``path`` belongs to."""
    return _OPENAI if path.startswith("/v1/") else _NATIVE
