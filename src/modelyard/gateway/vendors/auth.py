"""How a request says whose it is: one way for each vendor."""

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from modelyard.clock import Clock
from modelyard.domain.models import ModelVendor
from modelyard.domain.vendors import VendorKey, VendorTarget
from modelyard.gateway.adapters.wire import Headers, WireRequest
from modelyard.gateway.vendors.sigv4 import AwsCredentials, signed

if TYPE_CHECKING:
    from modelyard.gateway.vendors.google_tokens import GoogleTokens


def _bearer(key: VendorKey, name: str = "api_key") -> Headers:
    return (("authorization", f"Bearer {key.secrets[name]}"),)


_STATIC: Mapping[ModelVendor, Callable[[VendorKey], Headers]] = MappingProxyType(
    {
        ModelVendor.OPENAI: _bearer,
        ModelVendor.FIREWORKS_AI: _bearer,
        ModelVendor.COHERE: _bearer,
        ModelVendor.OTHER: _bearer,
        ModelVendor.LLMENGINE: _bearer,
        ModelVendor.ANTHROPIC: lambda key: (("x-api-key", key.secrets["api_key"]),),
        ModelVendor.GOOGLE: lambda key: (("x-goog-api-key", key.secrets["api_key"]),),
    }
)


class Authenticator:
    """Adds to a request what the vendor knows its caller by."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._google: GoogleTokens | None = None

    async def headers(self, key: VendorKey, target: VendorTarget, wire: WireRequest) -> Headers:
        """The headers to send along with ``wire`` to ``target``, whose address and parameters are filled in."""
        if not key.secrets and key.vendor in (ModelVendor.OTHER, ModelVendor.LLMENGINE):
            return ()
        if key.vendor is ModelVendor.VERTEX_AI:
            return (("authorization", f"Bearer {await self._token(key)}"),)
        if key.vendor is ModelVendor.BEDROCK:
            return self._amazon(key, target, wire)
        return _STATIC[key.vendor](key)

    async def _token(self, key: VendorKey) -> str:
        if self._google is None:
            made = await asyncio.to_thread(_google_tokens)
            self._google = self._google or made
        return await self._google.token(key)

    def _amazon(self, key: VendorKey, target: VendorTarget, wire: WireRequest) -> Headers:
        """A Bedrock API key as it is, or a signature over this one request."""
        if "bearer_token" in key.secrets:
            return _bearer(key, "bearer_token")
        credentials = AwsCredentials(
            key.secrets["access_key_id"], key.secrets["secret_access_key"], key.secrets.get("session_token")
        )
        whole = signed(wire, target.base_url, str(target.parameters["region"]), credentials, self._clock.now())
        return whole.headers[len(wire.headers) :]


def _google_tokens() -> "GoogleTokens":
    """What Google's library brings along takes a good part of a server's start, and few servers need it."""
    from modelyard.gateway.vendors.google_tokens import GoogleTokens

    return GoogleTokens()
