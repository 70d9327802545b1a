"""The whole HTTP side: inference calls on plain routes, everything else through the guarded control API."""

import os
import warnings
from functools import cache
from typing import Any

from fastapi import FastAPI
from pydantic.warnings import UnsupportedFieldAttributeWarning
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from modelyard.http.api import (
    accounts,
    audit,
    call_logs,
    deployments,
    groups,
    keys,
    limits,
    members,
    models,
    problems,
    reports,
    revisions,
    servers,
    system,
    templates,
    usage,
    vendor_credentials,
)
from modelyard.http.guard import Guard
from modelyard.http.hot_first import HotFirst
from modelyard.http.openapi import document
from modelyard.http.parts import Parts
from modelyard.http.sign_in import routes as sign_in

# FastAPI keeps it quiet while it makes validators; ours are made later (`modelyard.described`).
warnings.filterwarnings("ignore", category=UnsupportedFieldAttributeWarning)


def create_app(parts: Parts) -> ASGIApp:
    """What a server serves; `modelyard.main` starts and stops what is behind ``parts``."""
    control = Guard(
        _control(parts),
        parts.keys,
        (*system.PUBLIC, *sign_in.PUBLIC),
        clock=parts.clock,
        vault=parts.vault,
        public_url=parts.settings.oidc.public_url,
    )
    app = HotFirst(parts.hot_routes, _behind_proxies(control))
    origins = parts.settings.security.cors_origins
    return CORSMiddleware(app, allow_origins=origins, **_CORS) if origins else app


def _behind_proxies(app: ASGIApp) -> ASGIApp:
    """Believes what a proxy on this machine, or one that is named, says of whom it speaks for: addresses of pages that
    people are sent to begin with the scheme. As uvicorn does, which would do it for calls that do not care, too."""
    trusted = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1")
    return ProxyHeadersMiddleware(app, trusted)  # type: ignore[arg-type, return-value]  # uvicorn's names for the same


_CORS: dict[str, Any] = {
    "allow_methods": ["GET", "POST", "PUT", "PATCH", "DELETE"],
    "allow_headers": ["*"],
    "expose_headers": ["x-request-id", "retry-after", "x-served-by"],
}


def _control(parts: Parts) -> FastAPI:
    # Schemas are served by our own route, which merges the inference calls in.
    app = FastAPI(title="modelyard", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.parts = parts
    problems.install(app)
    for router in (
        templates.router,
        deployments.router,
        revisions.router,
        models.router,
        groups.router,
        servers.router,
        deployments.by_id,
        usage.router,
        reports.router,
        limits.router,
        keys.router,
        accounts.router,
        members.router,
        members.service_accounts,
        audit.router,
        call_logs.router,
        call_logs.of_account,
        vendor_credentials.router,
    ):
        app.include_router(router)
    app.include_router(accounts.people)
    app.include_router(accounts.people, prefix="/v4")
    app.include_router(system.router)
    sign_in.install(app, parts)
    app.openapi = cache(lambda: document(app, parts.hot_openapi))  # type: ignore[method-assign]
    return app
