"""All calls that go through the gateway: their routes, and their part of /openapi.json."""

from typing import Any

from starlette.routing import Route

from modelyard.gateway.ports import KeyVerifier
from modelyard.gateway.service import Gateway
from modelyard.http.inference.openapi import openapi_paths
from modelyard.http.inference.routes import inference_routes
from modelyard.http.openai.openapi import openai_paths
from modelyard.http.openai.routes import openai_routes
from modelyard.http.toplevel.openapi import toplevel_paths
from modelyard.http.toplevel.routes import toplevel_routes
from modelyard.settings import GatewaySettings


def hot_routes(gateway: Gateway, verifier: KeyVerifier, settings: GatewaySettings) -> list[Route]:
    return [
        *inference_routes(gateway, verifier, settings),
        *toplevel_routes(gateway, verifier, settings),
        *openai_routes(gateway, verifier, settings),
    ]


def hot_openapi() -> dict[str, Any]:
    """``{"paths": …, "components": {"schemas": …}}``."""
    parts = (openapi_paths(), toplevel_paths(), openai_paths())
    return {
        "paths": {path: item for part in parts for path, item in part["paths"].items()},
        "components": {
            "schemas": {name: schema for part in parts for name, schema in part["components"]["schemas"].items()}
        },
    }
