"""/openapi.json: the control API as FastAPI sees it, and the inference calls, which it never sees."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from modelyard import __version__
from modelyard.http.api.system import PUBLIC
from modelyard.http.api.wire.common import Problem

_DESCRIPTION = "A self-hosted model platform: one way to host models, and to call them."
_SECURITY: list[dict[str, list[str]]] = [{"ApiKey": []}, {"Bearer": []}]
_SCHEMES = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "Bearer": {"type": "http", "scheme": "bearer"},
}


def document(app: FastAPI, hot: Mapping[str, Any] | None) -> dict[str, Any]:
    """The whole document. ``hot``: ``paths`` and ``components`` of the inference calls."""
    whole = get_openapi(title="modelyard", version=__version__, description=_DESCRIPTION, routes=app.routes)
    components = whole.setdefault("components", {})
    components.setdefault("schemas", {}).pop("HTTPValidationError", None)
    components["schemas"].pop("ValidationError", None)
    components["schemas"].update(_problem())
    components["securitySchemes"] = _SCHEMES
    for path, operations in whole["paths"].items():
        if path not in PUBLIC:
            for operation in operations.values():
                operation["security"] = _SECURITY
    if hot is not None:
        for path, operations in hot.get("paths", {}).items():
            whole["paths"].setdefault(path, {}).update(operations)
        for kind, entries in hot.get("components", {}).items():
            components.setdefault(kind, {}).update(entries)
    return whole


def _problem() -> dict[str, Any]:
    """The schemas that routes refer to (`modelyard.http.api.given.problems`)."""
    _, whole = models_json_schema([(Problem, "serialization")], ref_template="#/components/schemas/{model}")
    schemas: dict[str, Any] = whole["$defs"]
    return schemas
