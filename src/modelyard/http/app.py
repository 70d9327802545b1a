"""The whole HTTP side: inference calls on plain routes, everything else through the guarded control API."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from modelyard.errors import MethodNotAllowed
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
from modelyard.http.boundary import Boundary
from modelyard.http.guard import Guard
from modelyard.http.openapi import document
from modelyard.http.parts import Parts
from modelyard.http.request_id import RequestId
from modelyard.http.sign_in import routes as sign_in


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
    app = RequestId(Boundary(HotFirst(parts.hot_routes, control)))
    origins = parts.settings.security.cors_origins
    return CORSMiddleware(app, allow_origins=origins, **_CORS) if origins else app


_CORS: dict[str, Any] = {
    "allow_methods": ["GET", "POST", "PUT", "PATCH", "DELETE"],
    "allow_headers": ["*"],
    "expose_headers": ["x-request-id", "retry-after", "x-served-by"],
}


class HotFirst:
    """Hot routes with nothing around them; what is none of theirs goes on to the rest."""

    def __init__(self, hot: Sequence[Route], rest: ASGIApp) -> None:
        self._hot = tuple(hot)
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for route in self._hot:
                match, child_scope = route.matches(scope)
                if match is Match.FULL:
                    scope.update(child_scope)
                    await route.handle(scope, receive, send)
                    return
                if match is Match.PARTIAL:
                    raise MethodNotAllowed(scope["method"], self._methods_at(scope))
        await self._rest(scope, receive, send)

    def _methods_at(self, scope: Scope) -> set[str]:
        here = [route for route in self._hot if route.matches(scope)[0] is not Match.NONE]
        return {method for route in here for method in route.methods or ()}


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
