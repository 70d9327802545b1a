"""Access tokens for Google Cloud, by google-auth: of a service account, or of the application default credentials.

A token lives for an hour. It is renewed a few minutes before its end, in a thread, once for all calls that wait.
"""

import asyncio
import json
from typing import Any

from google.auth import default
from google.auth.credentials import TokenState
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError, TransportError
from google.auth.transport.requests import Request
from google.oauth2.service_account import Credentials

from modelyard.domain.vendors import VendorKey
from modelyard.errors import ModelyardError, Unavailable, UpstreamError

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_MAX_KNOWN = 1000


class GoogleTokens:
    def __init__(self) -> None:
        self._credentials: dict[str, Any] = {}
        self._renewing = asyncio.Lock()

    async def token(self, key: VendorKey) -> str:
        """A token that is valid for some minutes at least. Raises `UpstreamError` where Google refuses the key, and
        `Unavailable` where Google cannot be asked."""
        if not self._fresh(key):
            async with self._renewing:
                if not self._fresh(key):
                    credentials = await asyncio.to_thread(_renewed, key, self._credentials.get(key.id))
                    if len(self._credentials) >= _MAX_KNOWN:  # accounts' keys come and go
                        self._credentials.clear()
                    self._credentials[key.id] = credentials
        return str(self._credentials[key.id].token)

    def _fresh(self, key: VendorKey) -> bool:
        credentials = self._credentials.get(key.id)
        return credentials is not None and credentials.token_state is TokenState.FRESH


def _renewed(key: VendorKey, credentials: Any) -> Any:
    try:
        if credentials is None:
            credentials = _made(key)
        credentials.refresh(Request())
    except (GoogleAuthError, ValueError) as error:
        raise _refused(error) from error
    return credentials


def _made(key: VendorKey) -> Any:
    text = key.secrets.get("service_account")
    if text is not None:
        made: Any = Credentials
        return made.from_service_account_info(json.loads(text), scopes=SCOPES)
    return default(scopes=SCOPES)[0]


def _refused(error: Exception) -> ModelyardError:
    if isinstance(error, DefaultCredentialsError):
        return UpstreamError(
            "There are no credentials for VERTEX_AI: Google's application default credentials were not found.",
            code="vendor_credentials_missing",
            hint="Set MODELYARD_VENDORS__VERTEX_AI__CREDENTIALS_FILE.",
        )
    if isinstance(error, TransportError) or (isinstance(error, RefreshError) and error.retryable):
        return Unavailable(f"Google cannot be asked for a token: {error}.", code="vendor_unreachable", retry_after=5)
    return UpstreamError(
        f"Google does not accept the credentials for VERTEX_AI: {error}.",
        code="vendor_credentials_invalid",
        hint="Check MODELYARD_VENDORS__VERTEX_AI__CREDENTIALS_FILE, or the account's stored credential.",
    )
