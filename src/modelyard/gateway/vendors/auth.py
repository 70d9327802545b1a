"""How a request says whose it is: one way for each vendor."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from modelyard.domain.models import ModelVendor
from modelyard.domain.vendors import VendorKey
from modelyard.gateway.adapters.wire import WireRequest
from modelyard.gateway.vendors.google_tokens import GoogleTokens

Headers = tuple[tuple[str, str], ...]


def _bearer(key: VendorKey) -> Headers:
    return (("authorization", f"Bearer {key.secrets['api_key']}"),)


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

    def __init__(self) -> None:
        self._google = GoogleTokens()

    async def headers(self, key: VendorKey, address: str, wire: WireRequest) -> Headers:
        """The headers to send along with ``wire`` to ``address``."""
        if not key.secrets and key.vendor in (ModelVendor.OTHER, ModelVendor.LLMENGINE):
            return ()
        if key.vendor is ModelVendor.VERTEX_AI:
            return (("authorization", f"Bearer {await self._google.token(key)}"),)
        return _STATIC[key.vendor](key)
