"""Which wire format each vendor speaks."""

from collections.abc import Mapping
from types import MappingProxyType

from modelyard.domain.models import ModelVendor
from modelyard.errors import InvalidRequest
from modelyard.gateway.adapters.anthropic import AnthropicAdapter
from modelyard.gateway.adapters.bedrock import BedrockAdapter
from modelyard.gateway.adapters.cohere import CohereAdapter
from modelyard.gateway.adapters.gemini import GeminiAdapter, VertexAdapter
from modelyard.gateway.adapters.openai_vendor import OpenAIVendorAdapter
from modelyard.gateway.adapters.profiles import PROFILES
from modelyard.gateway.adapters.wire import Adapter

_ADAPTERS: Mapping[ModelVendor, Adapter] = MappingProxyType(
    {
        **{vendor: OpenAIVendorAdapter(vendor) for vendor in PROFILES},
        ModelVendor.ANTHROPIC: AnthropicAdapter(),
        ModelVendor.GOOGLE: GeminiAdapter(),
        ModelVendor.VERTEX_AI: VertexAdapter(),
        ModelVendor.COHERE: CohereAdapter("Cohere"),
        ModelVendor.BEDROCK: BedrockAdapter(),
    }
)


def adapter_for(vendor: ModelVendor) -> Adapter:
    """The adapter of ``vendor``'s format; raises `InvalidRequest` where this version has none."""
    adapter = _ADAPTERS.get(vendor)
    if adapter is None:
        msg = f"models of the vendor {vendor} cannot be called in this version"
        raise InvalidRequest.at("path", "id", msg=msg, code="vendor_not_callable")
    return adapter


_FETCH = frozenset(ModelVendor) - {ModelVendor.BEDROCK, ModelVendor.OTHER, ModelVendor.LLMENGINE}
_MAY_BE_OURS = frozenset({ModelVendor.OTHER, ModelVendor.LLMENGINE})


def fetches_images(vendor: ModelVendor) -> bool | None:
    """Whether ``vendor`` takes an image's address, and fetches it itself; None where that depends on where its server
    stands: within our own walls it must not be sent about."""
    return None if vendor in _MAY_BE_OURS else vendor in _FETCH
