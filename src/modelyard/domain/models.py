"""Models: a template with its blanks filled in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, IdentityType
from modelyard.domain.parameters import Value
from modelyard.domain.templates import ModelType


class ModelVendor(StrEnum):
    OPENAI = "OPENAI"
    COHERE = "COHERE"
    GOOGLE = "GOOGLE"
    VERTEX_AI = "VERTEX_AI"
    ANTHROPIC = "ANTHROPIC"
    LAUNCH = "LAUNCH"
    LLMENGINE = "LLMENGINE"
    BEDROCK = "BEDROCK"
    FIREWORKS_AI = "FIREWORKS_AI"
    OTHER = "OTHER"


SELF_HOSTED_VENDORS = frozenset({ModelVendor.LAUNCH, ModelVendor.LLMENGINE})


@dataclass(frozen=True, slots=True)
class Model:
    id: str
    account_id: str
    created_at: datetime
    created_by_user_id: str
    created_by_identity_type: IdentityType
    name: str
    model_type: ModelType
    model_vendor: ModelVendor | None = None
    display_name: str | None = None
    description: str | None = None
    model_template_id: str | None = None
    model_creation_parameters: Mapping[str, Value] = field(default_factory=dict)
    model_group_id: str | None = None
    base_model_id: str | None = None
    base_model_metadata: Mapping[str, Any] | None = None
    """As the client sends it; ``modelDetails.token_context_window`` is the context window in tokens."""
    model_card: str | None = None
    training_data_card: str | None = None
    fallbacks: tuple[str, ...] = ()
    """Ids of deployments that answer, in this order, where those of this model cannot."""

    @property
    def is_built_in(self) -> bool:
        return self.account_id == PLATFORM_ACCOUNT_ID

    @property
    def context_window(self) -> int | None:
        """Tokens that prompt and answer may hold together, where the model's metadata says so."""
        details = (self.base_model_metadata or {}).get("modelDetails") or {}
        window = details.get("token_context_window")
        return window if isinstance(window, int) else None
