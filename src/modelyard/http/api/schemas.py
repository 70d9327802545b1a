"""JSON Schema of what ``execute`` takes and gives, by type of model."""

from functools import cache
from typing import Any

import msgspec

from modelyard.domain.inference import (
    ChatRequest,
    ChatResult,
    CompletionRequest,
    CompletionResult,
    EmbeddingRequest,
    EmbeddingResult,
    RerankingRequest,
    RerankingResult,
)
from modelyard.domain.templates import ModelType

_REQUESTS: dict[ModelType, type] = {
    ModelType.CHAT_COMPLETION: ChatRequest,
    ModelType.COMPLETION: CompletionRequest,
    ModelType.EMBEDDING: EmbeddingRequest,
    ModelType.RERANKING: RerankingRequest,
}
_RESULTS: dict[ModelType, type] = {
    ModelType.CHAT_COMPLETION: ChatResult,
    ModelType.COMPLETION: CompletionResult,
    ModelType.EMBEDDING: EmbeddingResult,
    ModelType.RERANKING: RerankingResult,
}
_ANYTHING: dict[str, Any] = {"description": "Any JSON; it is passed through."}
_VECTORS: dict[str, Any] = {
    "type": "array",
    "description": "One [text, vector] for each text, in the order asked.",
    "items": {
        "type": "array",
        "minItems": 2,
        "maxItems": 2,
        "prefixItems": [{"type": "string"}, {"type": "array", "items": {"type": "number"}}],
    },
}


@cache
def request_schema(model_type: ModelType) -> dict[str, Any]:
    """The body's schema; anything where the model's worker alone knows what it takes."""
    return _schema(_REQUESTS.get(model_type))


@cache
def response_schema(model_type: ModelType) -> dict[str, Any]:
    """The answer's schema."""
    return _schema(_RESULTS.get(model_type))


def _schema(type_: type | None) -> dict[str, Any]:
    if type_ is None:
        return _ANYTHING
    schema = msgspec.json.schema(type_)
    if type_ is EmbeddingResult:
        # Raw in the gateway, which does not read vectors; well known all the same.
        schema["$defs"][type_.__name__]["properties"]["embeddings"] = _VECTORS
    return schema
