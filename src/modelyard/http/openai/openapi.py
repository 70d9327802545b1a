"""The /v1 calls' part of /openapi.json, made from the very structs that decode and encode them."""

from functools import cache
from typing import Any

import msgspec

from modelyard.http.inference.endpoint import TRIM_HEADER
from modelyard.http.openai import answers, models
from modelyard.http.openai.bodies import ChatBody, CompletionBody, EmbeddingBody, RerankBody
from modelyard.http.openai_errors import ErrorBody

_PREFIX = "OpenAI"
"""/v4 has bodies of the same names."""

_REFERENCE = f"#/components/schemas/{_PREFIX}{{name}}"
_SECURITY: list[dict[str, list[str]]] = [{"ApiKey": []}, {"Bearer": []}]
_REFUSALS = {
    "400": "The body is not JSON, or a field is wrong or cannot be honoured; param names it.",
    "401": "No key, or an unknown one.",
    "403": "The key may not call this.",
    "404": "There is no such model, or it is not visible.",
}
_FAILURES = {
    "413": "The body is too large.",
    "429": "Over a limit; Retry-After says when to come back.",
    "502": "The model's worker failed.",
    "503": "No capacity now; Retry-After says when to come back.",
    "504": "The model's worker was too slow.",
}


@cache
def openai_paths() -> dict[str, Any]:
    """``{"paths": …, "components": {"schemas": …}}``."""
    kinds = (ChatBody, CompletionBody, EmbeddingBody, RerankBody, answers.ChatCompletion, answers.Completion)
    kinds += (answers.EmbeddingList, answers.RerankAnswer, models.ModelList, models.Model, ErrorBody)  # type: ignore[assignment]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    chat, completion, embedding, rerank, chatted, completed, embedded, ranked, listed, one, error = schemas
    named = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "paths": {
            "/v1/models": {"get": _read("List what can be called", "openai_models", listed, error)},
            "/v1/models/{id}": {"get": _read("One model", "openai_model", one, error, named)},
            "/v1/chat/completions": _call("Chat", "openai_chat", chat, chatted, error, streams=True),
            "/v1/completions": _call("Complete texts", "openai_complete", completion, completed, error, streams=True),
            "/v1/embeddings": _call("Embed texts", "openai_embed", embedding, embedded, error),
            "/v1/rerank": _call("Rank documents by a query", "openai_rerank", rerank, ranked, error),
        },
        "components": {"schemas": {_PREFIX + name: schema for name, schema in components.items()}},
    }


def _call(summary: str, operation: str, body: Any, answer: Any, error: Any, *, streams: bool = False) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": answer}}
    headers = [_header("x-selected-account-id", "Whose names are meant, and who pays.")]
    if streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
        headers.append(_header(TRIM_HEADER, "true: drop the oldest turns of what is too long."))
    return {
        "post": {
            "summary": summary,
            "operationId": operation,
            "tags": ["OpenAI-compatible"],
            "security": _SECURITY,
            "parameters": headers,
            "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
            "responses": {
                "200": {"description": "The answer, or with stream=true its pieces.", "content": content},
                **_errors({**_REFUSALS, **_FAILURES}, error),
            },
        }
    }


def _read(summary: str, operation: str, answer: Any, error: Any, *parameters: Any) -> dict[str, Any]:
    return {
        "summary": summary,
        "operationId": operation,
        "tags": ["OpenAI-compatible"],
        "security": _SECURITY,
        "parameters": [*parameters, _header("x-selected-account-id", "Whose names are meant.")],
        "responses": {
            "200": {"description": "What there is.", "content": {"application/json": {"schema": answer}}},
            **_errors(_REFUSALS, error),
        },
    }


def _errors(texts: dict[str, str], error: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": error}}
    return {status: {"description": text, "content": content} for status, text in texts.items()}


def _header(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
