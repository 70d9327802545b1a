"""Whatever goes wrong inside the control API, in our error shape."""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from modelyard.errors import FieldError, InvalidRequest, MethodNotAllowed, ModelyardError, NotFound
from modelyard.http.boundary import log_unexpected, unexpected
from modelyard.http.errors import encoded, headers_of, status_of
from modelyard.http.request_id import request_id_of

log = structlog.get_logger(__name__)

_WORDS = {
    "extra_forbidden": "unknown field",
    "missing": "is required",
    "model_attributes_type": "must be a JSON object",
    "dict_type": "must be a JSON object",
}


def install(app: FastAPI) -> None:
    """Make every error of ``app`` answer in our shape."""
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    # For Exception itself Starlette would answer, and raise again; this way what is unexpected ends here.
    app.add_exception_handler(BaseException, _on_error)  # type: ignore[arg-type]


async def _on_error(request: Request, error: Exception) -> Response:
    log_unexpected(error, request.scope)
    known = error if isinstance(error, ModelyardError) and status_of(error) != 500 else unexpected()
    return _response(request, known, status_of(known), headers_of(known))


async def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problem = InvalidRequest([_field(each) for each in error.errors()])
    return _response(request, problem, 422, headers_of(problem))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        problem: ModelyardError = MethodNotAllowed(request.method, _allowed(request))
        return _response(request, problem, 405, headers_of(problem))
    if error.status_code == 404:
        problem = NotFound(f"There is nothing at {request.url.path}.", hint="GET /openapi.json lists all calls.")
        return _response(request, problem, 404, {})
    problem = ModelyardError(str(error.detail), code="http_error")
    return _response(request, problem, error.status_code, dict(error.headers or {}))


def _response(request: Request, error: ModelyardError, status: int, headers: dict[str, str]) -> Response:
    body = encoded(error, request_id_of(request.scope))
    return Response(body, status, headers, media_type="application/json")


def _field(error: Any) -> FieldError:
    # An index into an alternative, or a type's name, says nothing to whoever wrote the request.
    loc = tuple(part for part in error["loc"] if not (isinstance(part, str) and "[" in part))
    return FieldError(loc, _WORDS.get(error["type"], error["msg"]), error["type"])


def _allowed(request: Request) -> set[str]:
    """The methods of every route at this path, not only of the first that comes along."""
    methods: set[str] = set()
    for route in request.app.state.api_routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return methods
