"""Errors as OpenAI's clients know them: ``{"error": {"message", "type", "param", "code"}}``.

Shape and codes: https://platform.openai.com/docs/guides/error-codes. Where OpenAI has no code for something, the
code is our own.
"""

import msgspec
from msgspec import Struct

from modelyard.domain.history import CONTEXT_LENGTH_EXCEEDED
from modelyard.errors import FieldError, InvalidRequest, ModelyardError
from modelyard.http import errors

_CODES = {
    "unauthenticated": "invalid_api_key",
    "rate_limited": "rate_limit_exceeded",
    "limit_exceeded": "rate_limit_exceeded",
    "budget_exceeded": "insufficient_quota",
    "deployment_not_found": "model_not_found",
    "invalid_request": "invalid_value",
}
_FIELD_CODES = {"missing": "missing_required_parameter", "unknown": "unknown_parameter"}
"""By what is wrong with a field."""

_TYPES = {403: "permission_error", 429: "rate_limit_error"}
_NAMES = {
    "stop_sequences": "stop",
    "prompts": "prompt",
    "texts": "input",
    "chunks": "documents",
}
"""Our own fields, as OpenAI calls them."""


class Error(Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str


class ErrorBody(Struct, frozen=True):
    error: Error


_encode = msgspec.json.Encoder().encode


def status_of(error: ModelyardError) -> int:
    """As everywhere, but that what is invalid is 400, as in OpenAI's API."""
    return 400 if isinstance(error, InvalidRequest) else errors.status_of(error)


def encoded(error: ModelyardError, request_id: str) -> bytes:
    """The whole body. OpenAI's clients read the request id from its header."""
    status = status_of(error)
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    code = _CODES.get(error.code, error.code)
    if not isinstance(error, InvalidRequest):
        return _encode(ErrorBody(Error(str(error), kind, "model" if code == "model_not_found" else None, code)))
    first = error.errors[0]
    message = "; ".join(map(_sentence, error.errors))
    param = "messages" if code == CONTEXT_LENGTH_EXCEEDED else _param(first)
    if code == "invalid_value":
        code = _FIELD_CODES.get(first.type, code)
    return _encode(ErrorBody(Error(message, kind, param, code)))


def error_event(error: ModelyardError, request_id: str) -> bytes:
    """A failure after the first byte: OpenAI's clients raise on any event with an ``error`` in it."""
    return b"data: " + encoded(error, request_id) + b"\n\n"


def _sentence(error: FieldError) -> str:
    param = _param(error)
    return f"{param}: {error.msg}" if param is not None else error.msg


def _param(error: FieldError) -> str | None:
    """The place in OpenAI's words, as in ``messages[0].content``; None where the whole body is meant."""
    where, *rest = error.loc or ("body",)
    if where == "path":
        return "model"
    if not rest:
        return None
    first = str(rest[0])
    return _NAMES.get(first, first) + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in rest[1:])
