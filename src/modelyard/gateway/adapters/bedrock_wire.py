"""Bedrock's Converse and ConverseStream, and the bodies of InvokeModel for embeddings and rerankings, as structs.

After https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, …_ConverseStream.html,
botocore's model of the service (1.43), and https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
(Titan embeddings, Cohere embed, rerank); tolerant of what else is in there.
"""

from typing import Any

import msgspec
from msgspec import Struct

FORMATS = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
"""Images that Converse takes, by media type."""

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
MALFORMED = ("malformed_model_output", "malformed_tool_use")
"""Stop reasons that are no answers, and raise."""


class InferenceConfig(Struct, rename="camel", omit_defaults=True):
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop_sequences: list[str] | None = None


class Turn(Struct):
    role: str
    content: list[Any]


class ToolConfig(Struct, rename="camel", omit_defaults=True):
    tools: list[Any]
    tool_choice: dict[str, Any] | None = None


class OutputConfig(Struct, rename="camel", omit_defaults=True):
    text_format: dict[str, Any] | None = None
    effort: str | None = None


class Body(Struct, rename="camel", omit_defaults=True, kw_only=True):
    """The body of Converse and of ConverseStream."""

    messages: list[Turn]
    system: list[Any] | None = None
    inference_config: InferenceConfig | None = None
    tool_config: ToolConfig | None = None
    output_config: OutputConfig | None = None
    additional_model_request_fields: dict[str, Any] | None = None


class Usage(Struct, rename="camel"):
    """``input_tokens`` leaves out what was read from a cache or written to one; a prompt's tokens are all three."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None

    @property
    def prompt_tokens(self) -> int | None:
        if self.input_tokens is None:
            return None
        return self.input_tokens + (self.cache_read_input_tokens or 0) + (self.cache_write_input_tokens or 0)


class ToolUse(Struct, rename="camel"):
    """Whole, ``input`` is any JSON; in a stream, the next piece of its text."""

    input: msgspec.Raw = msgspec.Raw(b"{}")
    tool_use_id: str | None = None
    name: str | None = None


class ReasoningText(Struct):
    text: str = ""


class Reasoning(Struct, rename="camel"):
    reasoning_text: ReasoningText | None = None
    text: str | None = None


class Text(Struct):
    text: str = ""


class Cited(Struct):
    content: list[Text] = []


class Block(Struct, rename="camel"):
    text: str | None = None
    tool_use: ToolUse | None = None
    reasoning_content: Reasoning | None = None
    citations_content: Cited | None = None


class AnswerMessage(Struct):
    content: list[Block] = []


class Output(Struct):
    message: AnswerMessage


class Answer(Struct, rename="camel"):
    output: Output
    stop_reason: str
    usage: Usage | None = None


class ToolStart(Struct, rename="camel"):
    tool_use_id: str
    name: str


class Start(Struct, rename="camel"):
    tool_use: ToolStart | None = None


class ToolPiece(Struct):
    input: str = ""


class Delta(Struct, rename="camel"):
    text: str | None = None
    tool_use: ToolPiece | None = None
    reasoning_content: Reasoning | None = None


class BlockStart(Struct, rename="camel"):
    content_block_index: int
    start: Start


class BlockDelta(Struct, rename="camel"):
    content_block_index: int
    delta: Delta


class BlockStop(Struct, rename="camel"):
    content_block_index: int


class MessageStop(Struct, rename="camel"):
    stop_reason: str


class Metadata(Struct):
    usage: Usage | None = None


class ErrorBody(Struct):
    """AWS writes ``message``, ``Message`` or, from proxies before it, neither; the type also comes as a header."""

    message: str | None = None
    Message: str | None = None
    type: str | None = msgspec.field(default=None, name="__type")


class FloatVectors(Struct):
    float: list[msgspec.Raw]


class EmbedAnswer(Struct, rename="camel"):
    """Titan's answer has one ``embedding``, Cohere's a list, or lists by type, of ``embeddings``."""

    embedding: msgspec.Raw = msgspec.Raw()
    input_text_token_count: int | None = None
    embeddings: list[msgspec.Raw] | FloatVectors | None = None


class Ranked(Struct):
    index: int
    relevance_score: float


class RerankAnswer(Struct):
    results: list[Ranked]
