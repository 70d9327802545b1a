"""What models on Bedrock take beyond what Converse itself has: data, one row for each family.

Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html and its page for each vendor,
…/claude-messages-extended-thinking.html, https://docs.aws.amazon.com/nova/latest/nova2-userguide/core-inference.html,
and the descriptions in botocore's model of the service (1.43), as of November 2026.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import lru_cache

from modelyard.domain.vendors import VendorTarget

Place = tuple[str, ...]
"""A path within ``additionalModelRequestFields``."""

GEOGRAPHIES = ("us", "us-gov", "eu", "apac", "jp", "au", "ca", "sa", "global")
"""With which the ids of inference profiles begin that call a model across regions."""


class Reasoning(Enum):
    """How a model is told how much to think."""

    NONE = auto()  # it cannot be told
    BUDGET = auto()  # thinking.budget_tokens
    ADAPTIVE = auto()  # thinking.type adaptive, and outputConfig.effort
    NOVA = auto()  # reasoningConfig.maxReasoningEffort
    FIELD = auto()  # reasoning_effort


@dataclass(frozen=True, slots=True)
class BedrockProfile:
    places: Mapping[str, Place] = field(default_factory=dict)
    """Where a setting that Converse lacks goes; what is not in here is refused."""
    reasoning: Reasoning = Reasoning.NONE
    efforts: tuple[str, ...] = ("low", "medium", "high")
    """What efforts it knows, where it is told one."""
    sampling: bool = True
    """Whether it takes temperature and top_p."""


_TOP_K: Mapping[str, Place] = {"top_k": ("top_k",)}
_NOVA: Mapping[str, Place] = {"top_k": ("inferenceConfig", "topK")}
_EFFORTS = ("low", "medium", "high", "xhigh")
_PENALTIES: Mapping[str, Place] = {name: (name,) for name in ("frequency_penalty", "presence_penalty")}
_COMMAND = BedrockProfile({"top_k": ("k",), "seed": ("seed",), **_PENALTIES})

_PROFILES = {
    "anthropic.claude": BedrockProfile({}, Reasoning.ADAPTIVE, ("none", *_EFFORTS), sampling=False),
    **dict.fromkeys(
        (
            "anthropic.claude-opus-5-5",
            "anthropic.claude-sonnet-5-5",
            "anthropic.claude-fable-5",
            "anthropic.claude-mythos-5",
        ),
        BedrockProfile({}, Reasoning.ADAPTIVE, _EFFORTS, sampling=False),
    ),
    **dict.fromkeys(
        ("anthropic.claude-opus-4-6", "anthropic.claude-sonnet-4-6"),
        BedrockProfile(_TOP_K, Reasoning.ADAPTIVE, ("none", "low", "medium", "high")),
    ),
    "anthropic.claude-3": BedrockProfile(_TOP_K),
    "anthropic.claude-3-7": BedrockProfile(_TOP_K, Reasoning.BUDGET),
    **dict.fromkeys(
        (
            "anthropic.claude-sonnet-4-2025",
            "anthropic.claude-opus-4-2025",
            "anthropic.claude-opus-4-1",
            "anthropic.claude-haiku-4-5",
            "anthropic.claude-sonnet-4-5",
            "anthropic.claude-opus-4-5",
        ),
        BedrockProfile(_TOP_K, Reasoning.BUDGET),
    ),
    "amazon.nova": BedrockProfile(_NOVA),
    "amazon.nova-2": BedrockProfile(_NOVA, Reasoning.NOVA),
    "cohere.command-r": _COMMAND,
    "mistral.": BedrockProfile(_TOP_K),
    "ai21.jamba": BedrockProfile(_PENALTIES),
    "openai.gpt-oss": BedrockProfile({}, Reasoning.FIELD),
    "": BedrockProfile(),
}
"""By the beginning of the model's id, the longest first. New models of Claude are expected to be like the newest."""


def plain_id(model: str) -> str:
    """The model's own id, out of an ARN and without an inference profile's geography."""
    name = model.rsplit("/", 1)[-1]
    geography, _, rest = name.partition(".")
    return rest if geography in GEOGRAPHIES else name


def base_of(target: VendorTarget) -> str:
    """The id that tells the family: the model's own, or the one that it is made from, where its own is but a name."""
    return str(target.parameters.get("base_model") or target.model)


@lru_cache(maxsize=1024)
def profile_of(model: str) -> BedrockProfile:
    """The profile of the model with this id or ARN."""
    name = plain_id(model)
    return _PROFILES[max((start for start in _PROFILES if name.startswith(start)), key=len)]
