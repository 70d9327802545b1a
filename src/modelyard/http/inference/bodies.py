"""The bodies of the v4 inference calls, and what they mean natively."""

from collections.abc import Sequence
from typing import Any

import msgspec

from modelyard.domain.inference import (
    Bindings,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    HistoryMessage,
    Message,
    Part,
    RerankingRequest,
    Sampling,
    TextRequest,
)
from modelyard.domain.parameters import checked
from modelyard.domain.routes import Route
from modelyard.domain.templates import EndpointProtocol, ModelType
from modelyard.domain.usage import Verb
from modelyard.errors import InvalidRequest

_SAMPLING = tuple(Sampling.__struct_fields__)
_NEEDS_CHAT = ("chat_template", "chat_template_kwargs", "reasoning_effort")


class ChatBody(Sampling, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Body of ``chat-completions``. ``chat_history`` comes before ``prompt``, oldest first."""

    prompt: str
    chat_history: list[HistoryMessage] = msgspec.field(default_factory=list)


class CompletionBody(Sampling, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Body of ``completions``."""

    prompt: str


class EmbeddingExecuteBody(EmbeddingRequest, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Body of ``execute`` for an EMBEDDING model; the client may send ``stream``."""

    stream: bool | None = None


class RerankingExecuteBody(RerankingRequest, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Body of ``execute`` for a RERANKING model; the client may send ``stream``."""

    stream: bool | None = None


class AnyBody(msgspec.Struct):
    """What is looked at in a body that is passed through."""

    stream: bool | None = None
    model_request_parameters: Bindings | None = None


_VERB_OF = {
    ModelType.CHAT_COMPLETION: Verb.CHAT_COMPLETION,
    ModelType.COMPLETION: Verb.COMPLETION,
    ModelType.EMBEDDING: Verb.EMBEDDING,
    ModelType.RERANKING: Verb.RERANKING,
}
_ALLOWED = {
    Verb.CHAT_COMPLETION: (ModelType.CHAT_COMPLETION, ModelType.COMPLETION),
    Verb.COMPLETION: (ModelType.COMPLETION, ModelType.CHAT_COMPLETION),
    Verb.EMBEDDING: (ModelType.EMBEDDING,),
    Verb.RERANKING: (ModelType.RERANKING,),
}
_PATH_OF = {
    Verb.CHAT_COMPLETION: "chat-completions",
    Verb.COMPLETION: "completions",
    Verb.EMBEDDING: "embeddings",
    Verb.RERANKING: "rerankings",
}


def check_verb(route: Route, verb: Verb) -> None:
    """Raise `InvalidRequest` naming the right call unless ``verb`` suits the deployment's model type."""
    if verb is Verb.EXECUTE or route.model_type in _ALLOWED[verb]:
        return
    right = _VERB_OF.get(route.model_type)
    deployment = route.deployment_id
    path = f"{deployment}/{_PATH_OF[right]}" if right else f"{route.model_id}/deployments/{deployment}/execute"
    msg = f"'{route.deployment_name}' is a {route.model_type} model; call POST /v4/models/{path}"
    raise InvalidRequest.at("path", "id", msg=msg, type="wrong_verb", code="wrong_verb")


def check_bindings(route: Route, parameters: Bindings | None) -> None:
    """Raise `InvalidRequest` unless the request parameters fit the template's schema."""
    if parameters is None and not route.request_schema.parameters:
        return
    values = parameters.bindings if parameters is not None else {}
    checked(route.request_schema, values, "body", "model_request_parameters", "bindings")


def check_images(route: Route, messages: Sequence[Message], field: str) -> None:
    """Raise `InvalidRequest` naming the first image that a text-only model was given in the body's ``field``."""
    if route.accepts_images:
        return
    for index, message in enumerate(messages):
        if isinstance(message.content, str):
            continue
        for place, part in enumerate(message.content):
            if _is_image(part):
                msg = f"'{route.model_name}' reads text only, no images"
                loc = ("body", field, index, "content", place)
                raise InvalidRequest.at(*loc, msg=msg, type="unsupported", code="images_not_supported")


def _is_image(part: Part) -> bool:
    return part.text is None


def native_chat(route: Route, body: ChatBody) -> TextRequest:
    """A chat, or for a COMPLETION model the completion of the prompt alone."""
    settings = _sampling(body)
    if route.model_type is ModelType.COMPLETION:
        return CompletionRequest(prompts=[body.prompt], **settings)
    return ChatRequest(messages=[*body.chat_history, Message("user", body.prompt)], **settings)


def native_completion(route: Route, body: CompletionBody) -> TextRequest:
    """A completion. A chat model completes the bare prompt, unless the request has what only a chat has, or its
    protocol has no way to say so: then the prompt is a user's message."""
    settings = _sampling(body)
    if route.model_type is ModelType.CHAT_COMPLETION and (
        route.protocol is not EndpointProtocol.VLLM
        or route.vendor is not None
        or any(name in settings for name in _NEEDS_CHAT)
    ):
        return ChatRequest(messages=[Message("user", body.prompt)], **settings)
    return CompletionRequest(prompts=[body.prompt], **settings)


def _sampling(body: Sampling) -> dict[str, Any]:
    return {name: value for name in _SAMPLING if (value := getattr(body, name)) is not None}
