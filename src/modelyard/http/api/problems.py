"""Whatever goes wrong inside the control API, in our error shape."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import compile_path

from modelyard.errors import FieldError, InvalidRequest, MethodNotAllowed, ModelyardError, NotFound
from modelyard.http.boundary import Boundary
from modelyard.http.errors import encoded, headers_of
from modelyard.http.request_id import request_id_of

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
    # Everything else ends inside of Starlette's own outermost middleware, which would answer in plain text.
    app.add_middleware(Boundary)


async def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    problem = InvalidRequest([_field(each) for each in error.errors()])
    return _response(request, problem, 422, headers_of(problem))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        problem: ModelyardError = MethodNotAllowed(request.method, _allowed(request, error))
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


def _allowed(request: Request, error: HTTPException) -> set[str]:
    """The methods of every route at this path; the framework tells of the first that comes along only."""
    methods = {
        method.upper()
        for path, operations in request.app.openapi()["paths"].items()
        if compile_path(path)[0].match(request.url.path)
        for method in operations
    }
    return methods or set((error.headers or {}).get("allow", "GET").split(", "))
