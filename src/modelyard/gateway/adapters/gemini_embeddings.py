"""Embeddings by Google: :batchEmbedContents of the Gemini API, :predict and :embedContent of Vertex AI.

Sources: https://ai.google.dev/api/embeddings and
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api.
"""

from typing import Any

import msgspec

from modelyard.domain.inference import EmbeddingRequest, EmbeddingResult
from modelyard.errors import UpstreamError
from modelyard.gateway.adapters import gemini_wire as wire
from modelyard.gateway.adapters.gemini_models import EmbeddingProfile, VertexEmbedding
from modelyard.gateway.adapters.wire import bindings_of, decoded, unsupported

BATCH = 100
"""Texts that one :batchEmbedContents may have."""

_OURS = frozenset({"model", "content", "requests", "instances"})
_OF_INSTANCES = frozenset({"task_type", "taskType", "title"})
"""Parameters that :predict takes with each text, in its own spelling; the others are the whole call's."""

_RENAMED = {"dimensions": "outputDimensionality"}
"""What is called alike with every vendor."""
_PREDICT_NAMES = {"taskType": "task_type"}

_encode = msgspec.json.Encoder().encode
_batch = msgspec.json.Decoder(wire.BatchEmbeddings)
_vertex = msgspec.json.Decoder(wire.VertexEmbeddings)


def encode_batch(request: EmbeddingRequest, resource: str) -> bytes:
    """The body of :batchEmbedContents for the model ``resource``, as in ``models/gemini-embedding-001``."""
    further = _bindings(request)
    requests = [{"model": resource, "content": {"parts": [{"text": text}]}, **further} for text in request.texts]
    return _encode({"requests": requests})


def decode_batch(request: EmbeddingRequest, body: bytes) -> EmbeddingResult:
    answer = decoded(_batch, body)
    return _result(request, [each.values for each in answer.embeddings], _prompt(answer.usage_metadata))


def encode_vertex(request: EmbeddingRequest, profile: EmbeddingProfile) -> tuple[str, bytes]:
    """The verb and its body. Texts that are too long are refused rather than cut, unless the call asks for that."""
    further = {"autoTruncate": False, **_bindings(request)}
    if profile.vertex is VertexEmbedding.EMBED_CONTENT:
        if len(request.texts) != 1:
            raise unsupported("texts", "one text a call")
        content = {"parts": [{"text": request.texts[0]}]}
        return "embedContent", _encode({"content": content, "embedContentConfig": further})
    with_each = {_PREDICT_NAMES.get(name, name): further.pop(name) for name in list(further) if name in _OF_INSTANCES}
    instances = [{"content": text, **with_each} for text in request.texts]
    return "predict", _encode({"instances": instances, "parameters": further})


def decode_vertex(request: EmbeddingRequest, body: bytes) -> EmbeddingResult:
    answer = decoded(_vertex, body)
    if answer.embedding is not None:
        return _result(request, [answer.embedding.values], _prompt(answer.usage_metadata))
    embeddings = [prediction.embeddings for prediction in answer.predictions]
    counts = [each.statistics.token_count if each.statistics else None for each in embeddings]
    known = [count for count in counts if count is not None]
    return _result(
        request, [each.values for each in embeddings], int(sum(known)) if len(known) == len(counts) else None
    )


def _bindings(request: EmbeddingRequest) -> dict[str, Any]:
    bindings = bindings_of(request)
    for name in bindings:
        if name in _OURS:
            raise unsupported("model_request_parameters", f"'{name}' is a field of the request itself")
    return {_RENAMED.get(name, name): value for name, value in bindings.items()}


def _prompt(usage: wire.UsageMetadata | None) -> int | None:
    return usage.prompt_token_count if usage is not None else None


def _result(request: EmbeddingRequest, vectors: list[msgspec.Raw], tokens: int | None) -> EmbeddingResult:
    if len(vectors) != len(request.texts):
        raise UpstreamError(f"The vendor gave {len(vectors)} embeddings for {len(request.texts)} texts.")
    return EmbeddingResult(msgspec.Raw(_encode(list(zip(request.texts, vectors, strict=True)))), tokens)
