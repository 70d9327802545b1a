"""What vendors that speak the OpenAI format do otherwise than it says: data, read by `openai_vendor` alone.

Sources: https://platform.openai.com/docs/api-reference, https://docs.fireworks.ai/api-reference,
https://docs.vllm.ai/en/stable/serving/openai_compatible_server.html (for OTHER and LLMENGINE).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from modelyard.domain.models import ModelVendor

_OWN_TEMPLATE = "the vendor applies the model's own chat template"


@dataclass(frozen=True, slots=True)
class Profile:
    most_tokens: str = "max_tokens"
    """What the field is called, in chats, that bounds the answer's tokens."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Fields of a request that it lacks, and why; their neutral values pass."""
    refused_thinking: Mapping[str, str] = field(default_factory=dict)
    """The same for models that think before they answer, unless they are told not to."""
    most_texts: int | None = None
    """Texts in one embedding request."""
    own: tuple[str, ...] = ()
    """Fields of its chats that only it has a meaning for, taken on /v1 as they are."""


_OF_REASONING = "models that think before they answer choose this themselves"

OPENAI = Profile(
    most_tokens="max_completion_tokens",
    refused={
        "top_k": "OpenAI has no top_k; use top_p",
        "chat_template": _OWN_TEMPLATE,
        "chat_template_kwargs": _OWN_TEMPLATE,
    },
    refused_thinking=dict.fromkeys(
        ("top_p", "frequency_penalty", "presence_penalty", "logprobs", "top_logprobs"), _OF_REASONING
    ),
    most_texts=2048,
    own=(
        "service_tier",
        "verbosity",
        "logit_bias",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
    ),
)

FIREWORKS = Profile(
    refused={"chat_template": _OWN_TEMPLATE, "chat_template_kwargs": _OWN_TEMPLATE},
    most_texts=256,
)

OTHER = Profile()
"""As vLLM and llama.cpp's server speak: what such a server lacks, it refuses itself."""

PROFILES: Mapping[ModelVendor, Profile] = MappingProxyType(
    {
        ModelVendor.OPENAI: OPENAI,
        ModelVendor.FIREWORKS_AI: FIREWORKS,
        ModelVendor.OTHER: OTHER,
        ModelVendor.LLMENGINE: OTHER,
    }
)

NEUTRAL: Mapping[str, object] = MappingProxyType({"top_p": 1})
"""Besides those of every vendor: what models that think do anyway."""
