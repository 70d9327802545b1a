"""POST /v4/chunks/rank: puts chunks in the order of their relevance to a query. Shapes: the official client's
``chunk_rank_params`` and ``ranked_chunks_response``."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from modelyard.domain.inference import Bindings
from modelyard.gateway.rouge import Part

Id = Annotated[str, Meta(min_length=1)]


class RankedChunk(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    chunk_id: str
    score: float
    """As given, the similarity that it was found with; in the answer, the ranking's own."""
    text: str
    attachment_url: str | None = None
    embedding: list[float] | None = None
    metadata: dict[str, Any] | None = None
    title: str | None = None
    user_supplied_metadata: dict[str, Any] | None = None


class CrossEncoderParams(Struct, frozen=True, forbid_unknown_fields=True):
    cross_encoder_model: Id | None = None
    """A RERANKING model's name; the setting gateway.ranking_model where it is left out."""


class CrossEncoder(Struct, frozen=True, forbid_unknown_fields=True, tag_field="method", tag="cross_encoder"):
    params: CrossEncoderParams = CrossEncoderParams()


class RougeParams(Struct, frozen=True, forbid_unknown_fields=True):
    metric: Annotated[str, Meta(pattern="^rouge([1-9]|L|Lsum)$")] = "rougeL"
    score: Part = "fmeasure"


class RougeStrategy(Struct, frozen=True, forbid_unknown_fields=True, tag_field="method", tag="rouge"):
    params: RougeParams = RougeParams()


class ModelParams(Struct, frozen=True, forbid_unknown_fields=True):
    base_model_name: Id | None = None
    model_deployment_id: Id | None = None
    model_params: dict[str, str | int | float | bool] | None = None
    """The template's request parameters."""

    def __post_init__(self) -> None:
        if (self.base_model_name is None) == (self.model_deployment_id is None):
            raise ValueError("exactly one of model_deployment_id and base_model_name says which model ranks")

    @property
    def bindings(self) -> Bindings | None:
        return None if self.model_params is None else Bindings(self.model_params)


class ModelStrategy(Struct, frozen=True, forbid_unknown_fields=True, tag_field="method", tag="model"):
    params: ModelParams


class AzureStrategy(Struct, frozen=True, tag_field="method", tag="azure_ai_foundry"):
    """Known, and refused: the server calls no address that a caller brings along."""

    params: dict[str, Any] = field(default_factory=dict)


class RankBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    query: str
    relevant_chunks: list[RankedChunk]
    rank_strategy: CrossEncoder | RougeStrategy | ModelStrategy | AzureStrategy
    top_k: Annotated[int, Meta(ge=1)] | None = None
    """So many of the best are answered; all where it is left out."""
    account_id: str | None = None


class RankAnswer(Struct, frozen=True):
    relevant_chunks: list[RankedChunk]
    """The most relevant first."""


def ranked(chunks: Sequence[RankedChunk], scores: Sequence[float], top_k: int | None) -> RankAnswer:
    """``chunks`` with their scores, best first; equal ones stay in the order given."""
    scored = [msgspec.structs.replace(chunk, score=score) for chunk, score in zip(chunks, scores, strict=True)]
    return RankAnswer(sorted(scored, key=lambda chunk: -chunk.score)[:top_k])
