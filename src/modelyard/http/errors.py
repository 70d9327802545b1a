"""Errors as clients see them: the one place where a `ModelyardError` meets an HTTP status."""

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from modelyard import errors
from modelyard.domain.limits import OverLimit
from modelyard.errors import FieldError, InvalidRequest, ModelyardError
from modelyard.http.left import left_headers

_STATUS: dict[type[ModelyardError], int] = {
    errors.MalformedRequest: 400,
    errors.InvalidRequest: 422,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.MethodNotAllowed: 405,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.RateLimited: 429,
    errors.Unavailable: 503,
    errors.UpstreamError: 502,
    errors.UpstreamTimeout: 504,
}

_FINAL = ("budget_exceeded",)
"""Errors of other kinds that no other try in the next minutes can mend."""

_encode = msgspec.json.Encoder().encode


def status_of(error: ModelyardError) -> int:
    """The status of the nearest class that has one; 500 for an error no client should ever see."""
    for cls in type(error).__mro__:
        if cls in _STATUS:
            return _STATUS[cls]
    return 500


def headers_of(error: ModelyardError) -> dict[str, str]:
    """When to come back, and whether the official client should try again by itself at all."""
    headers: dict[str, str] = {}
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(retry_after)))
    # A lost race is the one conflict that another try may win.
    final = isinstance(error, errors.Conflict | errors.InvalidRequest) or error.code in _FINAL
    if isinstance(error, OverLimit):
        headers |= left_headers(error.left)
        final = final or error.never_fits
    if final and error.code != "changed_meanwhile":
        headers["x-should-retry"] = "false"
    if isinstance(error, errors.MethodNotAllowed):
        headers["allow"] = ", ".join(error.allowed)
    if isinstance(error, errors.Unauthenticated):
        headers["www-authenticate"] = "Bearer"
    return headers


def body_of(error: ModelyardError, request_id: str) -> dict[str, Any]:
    """``{detail, code, request_id}``; for field errors ``detail`` is the list of them."""
    detail: Any = str(error)
    if isinstance(error, InvalidRequest):
        detail = [field(e) for e in error.errors]
    return {"detail": detail, "code": error.code, "request_id": request_id}


def field(error: FieldError) -> Mapping[str, Any]:
    return {"loc": list(error.loc), "msg": error.msg, "type": error.type}


def encoded(error: ModelyardError, request_id: str) -> bytes:
    return _encode(body_of(error, request_id))
