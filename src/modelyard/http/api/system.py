"""/healthz, /readyz, /metrics, /openapi.json, /docs: for whoever runs the server. None needs a key."""

import asyncio
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from modelyard.control.telemetry.metrics import registry
from modelyard.errors import ModelyardError, NotFound
from modelyard.http.api.given import GivenParts
from modelyard.http.api.wire.common import Answer
from modelyard.http.parts import Check, Parts

# Swagger UI comes with a package, not from a CDN: a server in a closed network has its documentation too.
_ASSETS = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
PUBLIC = ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", *(f"/docs/{asset}" for asset in _ASSETS))
CHECK_SECONDS = 5.0
_PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'"
)
"""Swagger UI starts itself from a script in the page."""

router = APIRouter(tags=["System"])


class Alive(Answer):
    status: str


class Readiness(Answer):
    status: str
    reasons: list[str]
    """Why the server is not ready."""


@router.get("/healthz")
async def healthz() -> Alive:
    """Whether the process is alive."""
    return Alive(status="ok")


@router.get("/readyz", responses={503: {"model": Readiness, "description": "Not ready, with the reasons"}})
async def readyz(parts: GivenParts, response: Response) -> Readiness:
    """Whether the server is ready to serve."""
    checks: list[Check] = [lambda: _database(parts), lambda: _stopping(parts), *parts.checks]
    reasons = [reason for reason in await asyncio.gather(*map(_checked, checks)) if reason]
    if reasons:
        response.status_code = 503
        response.headers["retry-after"] = "1"
    return Readiness(status="not ready" if reasons else "ready", reasons=reasons)


async def _checked(check: Check) -> str | None:
    try:
        return await asyncio.wait_for(check(), CHECK_SECONDS)
    except TimeoutError:
        return f"a check did not answer within {CHECK_SECONDS:g} s"
    except ModelyardError as error:
        return str(error)


async def _database(parts: Parts) -> str | None:
    async with parts.store.read() as tx:
        await tx.accounts.any_administrator()
    return None


async def _stopping(parts: Parts) -> str | None:
    return "the server is stopping" if parts.stopping.is_set() else None


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics() -> Response:
    """For Prometheus."""
    return Response(generate_latest(registry()), media_type=CONTENT_TYPE_LATEST)


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> JSONResponse:
    document: dict[str, Any] = request.app.openapi()
    return JSONResponse(document)


@router.get("/docs", include_in_schema=False)
async def docs() -> HTMLResponse:
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title="modelyard",
        swagger_js_url="/docs/swagger-ui-bundle.js",
        swagger_css_url="/docs/swagger-ui.css",
        swagger_favicon_url="data:,",
    )
    page.headers["content-security-policy"] = _PAGE_POLICY
    page.headers["referrer-policy"] = "no-referrer"
    return page


@router.get("/docs/{asset}", include_in_schema=False)
async def docs_asset(asset: str) -> FileResponse:
    if asset not in _ASSETS:
        raise NotFound(f"There is nothing at /docs/{asset}.")
    package = find_spec("fastapi_offline")
    assert package is not None
    assert package.origin is not None
    return FileResponse(Path(package.origin).parent / "static" / asset, media_type=_ASSETS[asset])
