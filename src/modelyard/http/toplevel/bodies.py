"""The bodies of the top-level calls, and what they mean natively. Shapes: the official client's
``chat_completion_create_params`` and ``completion_create_params``."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from modelyard.domain.inference import (
    Bindings,
    ChatRequest,
    CompletionRequest,
    Effort,
    HistoryMessage,
    ImageUrl,
    Message,
    Part,
    Penalty,
    Probability,
    StopSequences,
    Temperature,
    TextRequest,
)
from modelyard.domain.routes import Route
from modelyard.domain.templates import EndpointProtocol, ModelType
from modelyard.errors import InvalidRequest

DEFAULT_TEMPERATURE = 0.2
"""What the official client promises where a call says nothing of how to draw the next word."""
_DRAWN_OTHERWISE = ("top_p", "reasoning_effort")
"""What some models do not take together with a temperature: who chose one of them has chosen no temperature."""


class Wanted(Struct):
    """What every top-level call says about whom it means."""

    model: Annotated[str, Meta(min_length=1)]
    account_id: str | None = None


class ModelParameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    temperature: Temperature | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    stop_sequences: StopSequences | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    reasoning_effort: Effort | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = field(name="topK", default=None)
    top_p: Probability | None = field(name="topP", default=None)


class LastK(Struct, frozen=True, forbid_unknown_fields=True):
    k: Annotated[int, Meta(ge=1)]
    """So many messages are sent, the newest; system messages are sent besides."""


class MemoryStrategy(Struct, frozen=True, forbid_unknown_fields=True):
    params: LastK
    name: Literal["last_k"] = "last_k"


class Toplevel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: Annotated[str, Meta(min_length=1)]
    """Id, name or alias of a model, a deployment or a model server."""
    account_id: str | None = None
    model_parameters: ModelParameters | None = None
    model_request_parameters: Bindings | None = None
    """Ours: for templates that have request parameters."""
    stream: bool | None = None


class ChatCompletionBody(Toplevel, frozen=True, kw_only=True, forbid_unknown_fields=True):
    messages: Annotated[list[HistoryMessage], Meta(min_length=1)]
    instructions: str | None = None
    memory_strategy: MemoryStrategy | None = None
    chat_template: str | None = None

    def __post_init__(self) -> None:
        if self.instructions and any(message.role == "system" for message in self.messages):
            raise ValueError("instructions and a system message say the same thing twice; send one of them")


class Image(Struct, frozen=True, forbid_unknown_fields=True):
    image_url: str
    detail: Literal["low", "high", "auto"] | None = None


class TextCompletionBody(Toplevel, frozen=True, kw_only=True, forbid_unknown_fields=True):
    prompt: str
    images: list[Image] = field(default_factory=list)


def prompt_of(messages: Sequence[Message]) -> str:
    """The text of the last user's message, which streamed pieces name as their prompt."""
    for message in reversed(messages):
        if message.role == "user":
            if isinstance(message.content, str):
                return message.content
            return "".join(part.text for part in message.content if part.text is not None)
    return ""


def native_chat(body: ChatCompletionBody) -> ChatRequest:
    messages: list[Message] = list(_recalled(body.messages, body.memory_strategy))
    if body.instructions:
        messages.insert(0, Message("system", body.instructions))
    return ChatRequest(messages=messages, chat_template=body.chat_template, **_sampling(body))


def native_completion(route: Route, body: TextCompletionBody) -> TextRequest:
    """A completion; for a chat model that has no way to complete a bare text, or with images, a user's message."""
    if body.images:
        return ChatRequest(messages=[Message("user", _parts(route, body))], **_sampling(body))
    bare = route.model_type is ModelType.COMPLETION or (
        route.protocol is EndpointProtocol.VLLM and route.vendor is None
    )
    if bare and not (body.model_parameters and body.model_parameters.reasoning_effort):
        return CompletionRequest(prompts=[body.prompt], **_sampling(body))
    return ChatRequest(messages=[Message("user", body.prompt)], **_sampling(body))


def _recalled(messages: Sequence[HistoryMessage], memory: MemoryStrategy | None) -> list[HistoryMessage]:
    """The system's messages, and the last k of the others."""
    if memory is None:
        return list(messages)
    spoken = [message for message in messages if message.role != "system"]
    forgotten = {id(message) for message in spoken[: max(0, len(spoken) - memory.params.k)]}
    return [message for message in messages if id(message) not in forgotten]


def _parts(route: Route, body: TextCompletionBody) -> list[Part]:
    if not route.accepts_images or route.model_type is not ModelType.CHAT_COMPLETION:
        msg = f"'{route.model_name}' reads text only, no images"
        raise InvalidRequest.at("body", "images", 0, msg=msg, type="unsupported", code="images_not_supported")
    images = [Part(image_url=ImageUrl(image.image_url, image.detail)) for image in body.images]
    return [Part(text=body.prompt), *images]


def _sampling(body: Toplevel) -> dict[str, Any]:
    given = body.model_parameters or ModelParameters()
    values = {name: value for name, value in msgspec.structs.asdict(given).items() if value is not None}
    if body.model_request_parameters is not None:
        values["model_request_parameters"] = body.model_request_parameters
    if not any(name in values for name in _DRAWN_OTHERWISE):
        values.setdefault("temperature", DEFAULT_TEMPERATURE)
    return {**values, "stream": body.stream}
