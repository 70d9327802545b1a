"""The native request, result and chunk types: what every adapter translates from and to.

These are also what ``execute`` takes and gives, and what a worker that speaks SGP reads and writes, so
they decode strictly: unknown fields are refused. All are msgspec structs; a text generation streams as
`Chunk`, whose last one carries finish_reason and the token counts.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

Temperature = Annotated[float, Meta(ge=0, le=2)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]
"""How much a model is to think before it answers, in OpenAI's words, the least first."""
EFFORTS: tuple[str, ...] = get_args(Effort)
StopSequences = Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(max_length=4)]


TEMPLATE_VARIABLES = {"messages", "tools", "add_generation_prompt", "bos_token", "eos_token"}
"""What a chat template is always given; no request may put something else in its place."""


def check_template_variables(given: Mapping[str, Any]) -> None:
    """Raise `ValueError` where ``chat_template_kwargs`` would take the place of the conversation itself."""
    if taken := TEMPLATE_VARIABLES & set(given):
        names = ", ".join(sorted(taken))
        raise ValueError(f"chat_template_kwargs may not set {names}: the request's own messages decide that")


class Bindings(Struct, frozen=True, forbid_unknown_fields=True):
    """``model_request_parameters``: values for the template's request parameters, by name."""

    bindings: dict[str, str | int | float | bool]


class Sampling(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What every text generation takes. None: the model's own default."""

    temperature: Temperature | None = None
    top_p: Probability | None = None
    top_k: Annotated[float, Meta(ge=0)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    stop_sequences: StopSequences | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    reasoning_effort: Effort | None = None
    chat_template: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    model_request_parameters: Bindings | None = None
    stream: bool | None = None

    def __post_init__(self) -> None:
        if self.chat_template_kwargs:
            check_template_variables(self.chat_template_kwargs)


class ImageUrl(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    url: str
    detail: Literal["low", "high", "auto"] | None = None


class ImageData(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base64 image data."""

    data: str
    media_type: str
    detail: Literal["low", "high", "auto"] | None = None
    type: Literal["base64"] | None = None


class Part(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One piece of a message: exactly one of text, image_url, image_data. ``type`` may be left out."""

    type: Literal["text", "image_url", "image_data"] | None = None
    text: str | None = None
    image_url: ImageUrl | None = None
    image_data: ImageData | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("text", "image_url", "image_data") if getattr(self, name) is not None]
        if len(given) != 1 or (self.type is not None and self.type != given[0]):
            raise ValueError("a content part has exactly one of text, image_url, image_data, and its type says which")


class FunctionCall(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    arguments: str
    """A JSON text, as the model wrote it."""


class ToolCall(Struct, frozen=True, forbid_unknown_fields=True):
    """What a model wants to have done before it goes on; the shape is OpenAI's."""

    id: str
    function: FunctionCall
    type: Literal["function"] = "function"


class ToolFunction(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    name: Annotated[str, Meta(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    """JSON Schema of the arguments."""
    strict: bool | None = None


class Tool(Struct, frozen=True, forbid_unknown_fields=True):
    function: ToolFunction
    type: Literal["function"] = "function"


class FunctionName(Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class NamedTool(Struct, frozen=True, forbid_unknown_fields=True):
    """The one tool that has to be called."""

    function: FunctionName
    type: Literal["function"] = "function"


ToolChoice = Literal["none", "auto", "required"] | NamedTool


class JsonSchema(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    name: str
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    def __post_init__(self) -> None:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema is given exactly where the type is json_schema")


class Message(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """``tool_calls`` are an assistant's; a message of role ``tool`` answers the call ``tool_call_id``."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[Part]
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None

    def __post_init__(self) -> None:
        if self.role != "user" and not isinstance(self.content, str):
            raise ValueError(f"the content of a message of role {self.role} is a text")
        if self.tool_calls is not None and self.role != "assistant":
            raise ValueError(f"a message of role {self.role} has no tool_calls")
        if (self.tool_call_id is not None) != (self.role == "tool"):
            raise ValueError("tool_call_id belongs to a message of role tool, which needs it")


class HistoryMessage(Message, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A message of the calls that know no tools."""

    role: Literal["system", "user", "assistant"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tool_calls is not None:
            raise ValueError("this call knows no tools; use execute, or /v1/chat/completions")


class ChatRequest(Sampling, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    messages: Annotated[list[Message], Meta(min_length=1)]
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    seed: int | None = None


class CompletionRequest(Sampling, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    prompts: Annotated[list[str], Meta(min_length=1)]


class EmbeddingRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    texts: Annotated[list[str], Meta(min_length=1)]
    model_request_parameters: Bindings | None = None


class RerankingRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    query: str
    chunks: Annotated[list[str], Meta(min_length=1)]
    instruction: str | None = None
    model_request_parameters: Bindings | None = None


class TopLogprob(Struct, frozen=True, omit_defaults=True):
    token: str
    logprob: float
    bytes: list[int] | None = None


class TokenLogprob(Struct, frozen=True):
    token: str
    logprob: float
    top_logprobs: list[TopLogprob] = []
    bytes: list[int] | None = None


class AssistantMessage(Struct, frozen=True):
    content: str
    role: Literal["assistant"] = "assistant"
    tool_calls: list[ToolCall] | UnsetType = UNSET


class ChatResult(Struct, frozen=True):
    message: AssistantMessage
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    response_tokens: int | None = None
    logprobs: list[TokenLogprob] | None = None
    reasoning: str | None = None
    """What the model thought before it answered, where its server tells the two apart."""
    cached_tokens: int | UnsetType = UNSET
    """Of the prompt's tokens: read from a cache, where the server tells."""
    reasoning_tokens: int | UnsetType = UNSET
    """Of the response's tokens: spent on reasoning, where the server tells."""


class CompletionResult(Struct, frozen=True):
    completions: list[tuple[str, list[str]]]
    """One ``[prompt, [text]]`` for each prompt, in the order asked."""
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    response_tokens: int | None = None
    logprobs: list[TokenLogprob] | None = None
    cached_tokens: int | UnsetType = UNSET
    """As in a `ChatResult`."""
    reasoning_tokens: int | UnsetType = UNSET


class EmbeddingResult(Struct, frozen=True):
    """``embeddings`` stays the worker's own JSON, a list of ``[text, [float, …]]`` in the order asked: the
    gateway passes vectors through without reading them."""

    embeddings: msgspec.Raw
    tokens_used: int | None = None


class RerankingResult(Struct, frozen=True):
    chunk_scores: list[float]
    """In the order of the chunks asked about; higher is more relevant."""
    tokens_used: int | None = None


class ToolCallPiece(Struct, frozen=True, omit_defaults=True):
    """The next piece of one tool call. ``id`` and ``name`` come with its first one, whole."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class Chunk(Struct, frozen=True, omit_defaults=True):
    """The next piece of one generated text. Counts and finish_reason come with the last one."""

    text: str = ""
    logprobs: list[TokenLogprob] | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    response_tokens: int | None = None
    reasoning: str = ""
    tool_calls: list[ToolCallPiece] | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


TextRequest = ChatRequest | CompletionRequest
NativeRequest = ChatRequest | CompletionRequest | EmbeddingRequest | RerankingRequest
