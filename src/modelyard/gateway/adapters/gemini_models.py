"""What Google's models take and what they do not: data, one row for each family.

Sources: https://ai.google.dev/gemini-api/docs/thinking and …/openai (efforts as budgets), …/thought-signatures,
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api, as of November 2026.
"""

from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache


class Thinking(Enum):
    """How a model is told how much to think."""

    NONE = auto()
    BUDGET = auto()  # thinkingConfig.thinkingBudget
    LEVEL = auto()  # thinkingConfig.thinkingLevel


class VertexEmbedding(Enum):
    """How Vertex AI is asked for a model's embeddings."""

    PREDICT = auto()
    EMBED_CONTENT = auto()  # one text a call


@dataclass(frozen=True, slots=True)
class GeminiProfile:
    thinking: Thinking = Thinking.LEVEL
    signs_calls: bool = True
    """Whether tool calls in a conversation must carry the signature that came with them."""


@dataclass(frozen=True, slots=True)
class EmbeddingProfile:
    vertex: VertexEmbedding = VertexEmbedding.EMBED_CONTENT
    vertex_texts: int = 1
    """Texts that one call to Vertex AI may have."""


_PROFILES = {
    "gemini-1": GeminiProfile(Thinking.NONE, signs_calls=False),
    "gemini-2.0": GeminiProfile(Thinking.NONE, signs_calls=False),
    "gemini-2.5": GeminiProfile(Thinking.BUDGET, signs_calls=False),
    "gemma-3": GeminiProfile(Thinking.NONE, signs_calls=False),
    "gemma-4": GeminiProfile(signs_calls=False),
    "": GeminiProfile(),
}
"""By the beginning of the model's name, the longest first. New models are expected to be like the newest."""

_EMBEDDING_PROFILES = {
    "gemini-embedding-001": EmbeddingProfile(VertexEmbedding.PREDICT),
    "text-embedding-": EmbeddingProfile(VertexEmbedding.PREDICT, 250),
    "text-multilingual-embedding-": EmbeddingProfile(VertexEmbedding.PREDICT, 250),
    "textembedding-gecko": EmbeddingProfile(VertexEmbedding.PREDICT, 250),
    "": EmbeddingProfile(),
}


@lru_cache(maxsize=1024)
def profile_of(model: str) -> GeminiProfile:
    """The profile of the chat model called ``model``, whatever stands before its last slash."""
    name = model.rpartition("/")[2]
    return _PROFILES[max((start for start in _PROFILES if name.startswith(start)), key=len)]


@lru_cache(maxsize=1024)
def embedding_profile_of(model: str) -> EmbeddingProfile:
    """The profile of the embedding model called ``model``."""
    name = model.rpartition("/")[2]
    return _EMBEDDING_PROFILES[max((start for start in _EMBEDDING_PROFILES if name.startswith(start)), key=len)]
