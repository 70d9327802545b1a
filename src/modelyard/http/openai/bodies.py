"""The bodies of the /v1 calls, as OpenAI's clients send them.

Shapes: https://platform.openai.com/docs/api-reference, and the further sampling fields of vLLM
(https://docs.vllm.ai/en/stable/serving/openai_compatible_server.html). Fields that change nothing about an answer
are tolerated; what would change it and cannot be honoured is in the bodies too, so that it is refused by name
(`modelyard.http.openai.refusals`).
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from modelyard.domain.inference import (
    Bindings,
    Effort,
    ImageUrl,
    Penalty,
    Probability,
    ResponseFormat,
    Temperature,
    Tool,
    ToolCall,
    ToolChoice,
    check_template_variables,
)

Name = Annotated[str, Meta(min_length=1)]
Choices = Annotated[int, Meta(ge=1, le=128)]
StopText = Annotated[str, Meta(min_length=1)]
Stop = StopText | Annotated[list[StopText], Meta(max_length=4)] | None
Many = str | list[Any]
"""A text, or a list of them; what else the list may hold is refused in words."""


class Wanted(Struct, frozen=True):
    """What of any body is read first."""

    model: Name


class ContentPart(Struct, frozen=True):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | None = None


class ChatMessage(Struct, frozen=True):
    """A message of any role. An assistant's may be sent back with all that came with it; ``name`` and other fields
    that no chat template knows are disregarded."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    function_call: Any = None
    audio: Any = None


class StreamOptions(Struct, frozen=True):
    include_usage: bool | None = None


class Tolerated(Struct, frozen=True, kw_only=True):
    """Fields that are about OpenAI's own accounts, caches and logs."""

    user: Any = None
    metadata: Any = None
    store: Any = None
    service_tier: Any = None
    safety_identifier: Any = None
    prompt_cache_key: Any = None
    prompt_cache_retention: Any = None


class TextBody(Tolerated, frozen=True, kw_only=True):
    """What both text calls take."""

    model: Name
    temperature: Temperature | None = None
    top_p: Probability | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    n: Choices | None = None
    stop: Stop = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    # vLLM's
    top_k: Annotated[float, Meta(ge=-1)] | None = None
    min_p: Probability | None = None
    repetition_penalty: Annotated[float, Meta(gt=0)] | None = None
    # our own
    model_request_parameters: Bindings | None = None
    # refused
    logit_bias: Any = None


class ChatBody(TextBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Effort | None = None
    # vLLM's
    chat_template: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    # refused
    functions: Any = None
    function_call: Any = None
    audio: Any = None
    modalities: Any = None
    prediction: Any = None
    verbosity: Any = None
    web_search_options: Any = None

    def __post_init__(self) -> None:
        if self.chat_template_kwargs:
            check_template_variables(self.chat_template_kwargs)


class CompletionBody(TextBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    prompt: Many
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    # refused
    best_of: Any = None
    echo: Any = None
    suffix: Any = None


class EmbeddingBody(Tolerated, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: Name
    input: Many
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None
    model_request_parameters: Bindings | None = None


class Document(Struct, frozen=True):
    """Cohere's older shape of a document."""

    text: str


class RerankBody(Tolerated, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cohere's and Jina's shape."""

    model: Name
    query: Annotated[str, Meta(min_length=1)]
    documents: Annotated[list[str | Document], Meta(min_length=1)]
    top_n: Annotated[int, Meta(ge=1)] | None = None
    return_documents: bool | None = None
    instruction: str | None = None
    model_request_parameters: Bindings | None = None
    # refused
    max_chunks_per_doc: Any = None
    max_tokens_per_doc: Any = None
    rank_fields: Any = None
    truncation: Any = None
