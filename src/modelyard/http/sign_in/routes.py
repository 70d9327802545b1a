"""/auth/login, /auth/callback and /auth/logout"""

from datetime import timedelta

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from modelyard.domain.sign_in import person_of
from modelyard.errors import Unauthenticated
from modelyard.http.parts import Parts
from modelyard.http.request_id import request_id_of
from modelyard.http.sign_in import cookies
from modelyard.http.sign_in.provider import Provider

PUBLIC = ("/auth/login", "/auth/callback")
HOME = "/docs"
_UNDER_WAY = timedelta(minutes=10)


def install(app: FastAPI, parts: Parts) -> None:
    """Nothing where no provider is set."""
    settings = parts.settings.oidc
    if settings.issuer is None:
        return
    routes = SignInRoutes(parts)
    # What has to be remembered between the two is in a cookie of its own, which ends with the sign-in.
    under_way = Middleware(
        SessionMiddleware,
        secret_key=parts.vault.derived("sign-in under way"),
        session_cookie="modelyard_sign_in",
        max_age=int(_UNDER_WAY.total_seconds()),
        path="/auth",
        same_site="lax",
        https_only=(settings.public_url or "").startswith("https:"),
    )
    app.router.routes.extend(
        (
            Route("/auth/login", routes.login, methods=["GET"], middleware=[under_way]),
            Route("/auth/callback", routes.callback, methods=["GET"], middleware=[under_way]),
            Route("/auth/logout", routes.logout, methods=["POST"]),
        )
    )


class SignInRoutes:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._settings = parts.settings.oidc
        self._provider = Provider(self._settings)

    async def login(self, request: Request) -> Response:
        """Off to the provider; ``next`` is where the browser goes afterwards, a path of ours."""
        request.session.clear()
        request.session["next"] = own_path(request.query_params.get("next"))
        base = self._settings.public_url or str(request.base_url)
        return await self._provider.redirect(request, f"{base.rstrip('/')}/auth/callback")

    async def callback(self, request: Request) -> Response:
        """Back from the provider: a session, in a cookie."""
        claims = await self._provider.claims(request)
        following = own_path(request.session.get("next"))
        request.session.clear()
        try:
            person = person_of(self._provider.issuer, claims, verified_only=self._settings.verified_email_only)
        except ValueError as error:
            raise Unauthenticated(f"Signing in did not succeed: {error}.", code="sign_in_failed") from error
        session = await self._parts.sign_in.start(person, request_id_of(request.scope))
        response = RedirectResponse(following, 303)
        cookies.put(response, session, self._parts.vault, secure=self._is_https(request))
        response.headers["cache-control"] = "no-store"
        return response

    async def logout(self, request: Request) -> Response:
        """The session ends, here and everywhere."""
        await self._parts.sign_in.end(request.state.caller_scope)
        response = JSONResponse({"count": 1, "success": True})
        cookies.take_away(response, secure=self._is_https(request))
        return response

    def _is_https(self, request: Request) -> bool:
        return (self._settings.public_url or str(request.url)).startswith("https:")


def own_path(text: object) -> str:
    """``text`` where it is a path of this server; otherwise where people begin. Browsers take ``//host`` and
    ``/\\host`` for other servers."""
    is_own = isinstance(text, str) and text.startswith("/") and text[1:2] not in ("/", "\\")
    return text if isinstance(text, str) and is_own and text.isprintable() and len(text) < 2048 else HOME
