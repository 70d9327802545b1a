"""Embeddings and rerankings by Bedrock's InvokeModel, whose bodies are each model family's own.

Bodies: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html,
…/model-parameters-embed.html (Cohere), https://docs.aws.amazon.com/bedrock/latest/userguide/rerank-supported.html.
"""

from typing import Any

import msgspec

from modelyard.domain.inference import EmbeddingRequest, RerankingRequest
from modelyard.domain.vendors import VendorTarget
from modelyard.errors import InvalidRequest
from modelyard.gateway.adapters.bedrock_models import base_of, plain_id
from modelyard.gateway.adapters.wire import bindings_of, unsupported

TITAN = "amazon.titan-embed-text"
COHERE = "cohere.embed"
COHERE_TEXTS = 96
_RERANKERS = {"cohere.rerank": {"api_version": 2}, "amazon.rerank": {}}

_encode = msgspec.json.Encoder().encode


def most_texts(target: VendorTarget) -> int:
    """Of one request: Titan embeds one text at a time."""
    return 1 if plain_id(base_of(target)).startswith(TITAN) else COHERE_TEXTS


def embedding_body(request: EmbeddingRequest, target: VendorTarget, notes: list[str]) -> bytes:
    name = plain_id(base_of(target))
    bindings = bindings_of(request)
    if name.startswith(TITAN):
        return _with(bindings, {"inputText": request.texts[0]}, "embeddingTypes")
    if not name.startswith(COHERE):
        msg = f"the embeddings of '{target.model}' have a format that is not known; Titan's and Cohere's are"
        raise InvalidRequest.at("path", "id", msg=msg, code="wrong_verb")
    body: dict[str, Any] = {"texts": request.texts, "embedding_types": ["float"]}
    if "input_type" not in bindings:
        body["input_type"] = "search_document"
        notes.append("input_type: search_document was sent; model_request_parameters may say otherwise")
    if "dimensions" in bindings:
        bindings = {**bindings, "output_dimension": bindings["dimensions"]}
        del bindings["dimensions"]
    return _with(bindings, body, "images", "inputs")


def reranking_body(request: RerankingRequest, target: VendorTarget) -> bytes:
    if request.instruction is not None:
        raise unsupported("instruction", "rerankers on Bedrock have no place for an instruction; put it in the query")
    name = plain_id(base_of(target))
    for start, further in _RERANKERS.items():
        if name.startswith(start):
            body = {"query": request.query, "documents": request.chunks, "top_n": len(request.chunks), **further}
            return _with(bindings_of(request), body)
    msg = f"the rerankings of '{target.model}' have a format that is not known; Cohere's and Amazon's are"
    raise InvalidRequest.at("path", "id", msg=msg, code="wrong_verb")


def _with(bindings: dict[str, Any], body: dict[str, Any], *taken: str) -> bytes:
    for name in bindings:
        if name in body or name in taken:
            raise unsupported("model_request_parameters", f"'{name}' is a field of the request itself; set it there")
    return _encode({**body, **bindings})
