"""What Anthropic's models take and what they do not: data, one row for each family.

Sources: https://platform.claude.com/docs/en/api/versioning and …/api/migration-2026-10-21 (versions, sampling),
…/build-with-claude/thinking and …/effort (thinking), …/structured-outputs, as of November 2026. Retired models have
no row.
"""

from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

WITH_SAMPLING = "2023-06-01"
"""The last version of the API that knows temperature, top_p and top_k."""
CURRENT = "2026-10-21"


class Thinking(Enum):
    """How a model is told how much to think."""

    BUDGET = auto()  # thinking.budget_tokens
    ADAPTIVE = auto()  # thinking.type adaptive, and output_config.effort


@dataclass(frozen=True, slots=True)
class AnthropicProfile:
    version: str = CURRENT
    """The ``anthropic-version`` to speak."""
    sampling: bool = False
    """Whether it takes temperature, top_p and top_k."""
    one_sampler: bool = False
    """Whether it takes temperature or top_p, but not both."""
    thinking: Thinking = Thinking.ADAPTIVE
    efforts: tuple[str, ...] = ("low", "medium", "high", "xhigh")
    """What efforts it knows, where it is told one."""
    always_thinks: bool = False
    """Whether it cannot be told not to think."""
    forced_tools: bool = True
    """Whether a tool may be demanded (tool_choice required, or one by name)."""


_BUDGET = AnthropicProfile(WITH_SAMPLING, sampling=True, one_sampler=True, thinking=Thinking.BUDGET)
_BOTH = AnthropicProfile(WITH_SAMPLING, sampling=True, one_sampler=True, efforts=("low", "medium", "high"))
_ADAPTIVE = AnthropicProfile()
_ALWAYS_THINKING = AnthropicProfile(always_thinks=True)
_NEVER_FORCED = AnthropicProfile(always_thinks=True, forced_tools=False)
_COMPATIBLE = AnthropicProfile(WITH_SAMPLING, sampling=True, thinking=Thinking.BUDGET)

_PROFILES = {
    "claude-haiku-4-5": _BUDGET,
    "claude-sonnet-4-5": _BUDGET,
    "claude-opus-4-5": _BUDGET,
    "claude-sonnet-4-6": _BOTH,
    "claude-opus-4-6": _BOTH,
    "claude-sonnet-5-5": _NEVER_FORCED,
    "claude-opus-5-5": _NEVER_FORCED,
    "claude-fable-5": _ALWAYS_THINKING,
    "claude-mythos-5": _ALWAYS_THINKING,
    "claude-fable-5-1": _NEVER_FORCED,
    "claude-fable-5-2": _NEVER_FORCED,
    "claude-mythos-5-1": _NEVER_FORCED,
    "claude-mythos-5-2": _NEVER_FORCED,
    "claude-": _ADAPTIVE,
    "": _COMPATIBLE,
}
"""By the beginning of the model's name, the longest first. New models are expected to be like the newest; names
that are not Anthropic's belong to servers that speak its format, which know the older version."""


@lru_cache(maxsize=1024)
def profile_of(model: str) -> AnthropicProfile:
    """The profile of the vendor's model called ``model``."""
    return _PROFILES[max((start for start in _PROFILES if model.startswith(start)), key=len)]
