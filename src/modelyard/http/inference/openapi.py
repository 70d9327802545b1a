"""The inference calls' part of /openapi.json, made from the very structs that decode and encode them."""

from functools import cache
from typing import Any

import msgspec

from modelyard.domain.inference import EmbeddingRequest, RerankingRequest, RerankingResult
from modelyard.http.inference.answers import CompletionAnswer
from modelyard.http.inference.bodies import ChatBody, CompletionBody

REFERENCE = "#/components/schemas/{name}"
_EMBEDDINGS = {
    "type": "object",
    "required": ["embeddings"],
    "properties": {
        "embeddings": {
            "type": "array",
            "description": "A [text, vector] for each text, in the order asked.",
            "items": {"type": "array", "minItems": 2, "maxItems": 2},
        },
        "tokens_used": {"type": ["integer", "null"]},
    },
}
_FAILURES = {
    "400": "The body is not JSON, or did not arrive in time.",
    "401": "No key, or an unknown one.",
    "403": "The key may not call this.",
    "404": "Unknown, or not visible.",
    "413": "The body is too large.",
    "422": "A field is wrong; detail names it.",
    "502": "The model's worker failed.",
    "503": "No capacity now; Retry-After says when to come back.",
    "504": "The model's worker was too slow.",
}
_SECURITY: list[dict[str, list[str]]] = [{"ApiKey": []}, {"Bearer": []}]


@cache
def openapi_paths() -> dict[str, Any]:
    """``{"paths": …, "components": {"schemas": …}}``."""
    kinds = (ChatBody, CompletionBody, EmbeddingRequest, RerankingRequest, CompletionAnswer, RerankingResult)
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    chat, completion, embedding, reranking, text, scores = schemas
    anything: dict[str, Any] = {
        "description": "The native request of the model's type; see the model's request_schema."
    }
    answer_anything: dict[str, Any] = {"description": "The native answer; see the model's response_schema."}
    by_id = "/v4/models/{id}"
    return {
        "paths": {
            f"{by_id}/chat-completions": call("Chat", "chat_completions", chat, text, streams=True),
            f"{by_id}/completions": call("Complete a text", "completions", completion, text, streams=True),
            f"{by_id}/embeddings": call("Embed texts", "embeddings", embedding, _EMBEDDINGS),
            f"{by_id}/rerankings": call("Score chunks against a query", "rerankings", reranking, scores),
            "/v4/models/{model_id}/deployments/{id}/execute": call(
                "Send a native request", "execute", anything, answer_anything, streams=True, names=("model_id", "id")
            ),
            "/v4/serving/{model_server_id}/execute": call(
                "Send a native request to a model server",
                "execute_server",
                anything,
                answer_anything,
                streams=True,
                names=("model_server_id",),
            ),
            "/v4/serving/a/{alias}/execute": call(
                "Send a native request to a model server by its alias",
                "execute_alias",
                anything,
                answer_anything,
                streams=True,
                names=("alias",),
            ),
        },
        "components": {"schemas": components},
    }


def call(
    summary: str,
    operation: str,
    body: dict[str, Any],
    answer: dict[str, Any],
    *,
    streams: bool = False,
    names: tuple[str, ...] = ("id",),
) -> dict[str, Any]:
    """One path's entry; ``names`` are its parameters."""
    content: dict[str, Any] = {"application/json": {"schema": answer}}
    if streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    # described by the control API, which answers errors of the same shape
    problem = {"application/json": {"schema": {"$ref": REFERENCE.format(name="Problem")}}}
    selected = {"name": "x-selected-account-id", "in": "header", "required": False, "schema": {"type": "string"}}
    return {
        "post": {
            "summary": summary,
            "operationId": operation,
            "tags": ["Inference"],
            "security": _SECURITY,
            "parameters": [*(_in_path(name) for name in names), selected],
            "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
            "responses": {
                "200": {"description": "The answer, or with stream=true its pieces.", "content": content},
                **{status: {"description": text, "content": problem} for status, text in _FAILURES.items()},
            },
        }
    }


_IN_PATH = {
    "id": "A deployment's id or name, a model's or a model server's, or a model server's alias.",
    "model_id": "The model's id.",
    "model_server_id": "The model server's id.",
    "alias": "The model server's alias.",
}


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": _IN_PATH[name], "schema": {"type": "string"}}
