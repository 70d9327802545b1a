"""The OpenID Connect provider, by authlib: authorization code with PKCE, state and nonce; tokens checked against the
provider's published keys."""

import json
from collections.abc import Mapping
from typing import Any

import httpx2
import structlog
from authlib.integrations.base_client import OAuthError
from authlib.integrations.starlette_client import OAuth
from joserfc.errors import JoseError
from starlette.requests import Request
from starlette.responses import Response

from modelyard.errors import Unauthenticated, Unavailable
from modelyard.settings import OidcSettings

log = structlog.get_logger(__name__)

_SECONDS = 10.0


class Provider:
    """Needs a ``request.session`` in which the state of a sign-in under way is kept."""

    def __init__(self, settings: OidcSettings) -> None:
        assert settings.issuer is not None
        self.issuer = settings.issuer
        secret = None if settings.client_secret is None else settings.client_secret.get_secret_value()
        client: dict[str, Any] = {
            "scope": settings.scope,
            "code_challenge_method": "S256",
            "timeout": _SECONDS,
        }
        if secret is None:
            client["token_endpoint_auth_method"] = "none"  # noqa: S105
        self._client: Any = OAuth().register(
            "oidc",
            client_id=settings.client_id,
            client_secret=secret,
            server_metadata_url=f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs=client,
        )

    async def redirect(self, request: Request, callback: str) -> Response:
        """Where the browser goes to sign in."""
        try:
            await self._check_issuer()
            response: Response = await self._client.authorize_redirect(request, callback)
        except (httpx2.HTTPError, json.JSONDecodeError, RuntimeError) as error:
            raise _away(error) from error
        return response

    async def claims(self, request: Request) -> Mapping[str, Any]:
        """What the provider vouches for, once the browser is back. `Unauthenticated` where anything about it is not as
        it must be: state, nonce, signature, issuer, audience, time."""
        try:
            await self._check_issuer()
            token = await self._client.authorize_access_token(request)
            claims = token.get("userinfo")
            if claims is None:
                raise OAuthError("no_id_token", "the provider sent no ID token")
            if "email" not in claims and "userinfo_endpoint" in self._client.server_metadata:
                claims = {**claims, **await self._more(token, claims["sub"])}
        except (httpx2.HTTPError, json.JSONDecodeError) as error:
            raise _away(error) from error
        except (OAuthError, JoseError, ValueError, KeyError, RuntimeError) as error:
            log.info("sign-in failed", reason=str(error))
            raise Unauthenticated(
                "Signing in did not succeed.", code="sign_in_failed", hint="Begin again at /auth/login."
            ) from error
        return dict(claims)

    async def _more(self, token: Mapping[str, Any], subject: str) -> Mapping[str, Any]:
        """What is told only on request; of the same person, or not at all."""
        more = await self._client.userinfo(token=token)
        return more if more.get("sub") == subject else {}

    async def _check_issuer(self) -> None:
        metadata = await self._client.load_server_metadata()
        if str(metadata.get("issuer", "")).rstrip("/") != self.issuer.rstrip("/"):
            raise RuntimeError("the provider's metadata name another issuer than MODELYARD_OIDC__ISSUER")


def _away(error: Exception) -> Unavailable:
    log.warning("the sign-in provider cannot be used", reason=str(error))
    return Unavailable(
        "The sign-in provider cannot be used now.", code="provider_unavailable", hint="The server's log says why."
    )
