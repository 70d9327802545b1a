"""The Anthropic Messages format as structs: as much of it as chats need.

Source: https://platform.claude.com/docs/en/api/messages and …/build-with-claude/streaming; the types of the official
SDK (PyPI ``anthropic`` 2.13) are the schema of record. What a vendor may add within a version is let through unread.
"""

from typing import Any

import msgspec
from msgspec import Struct


class Text(Struct, tag_field="type", tag="text"):
    text: str


class Base64Source(Struct, tag_field="type", tag="base64"):
    media_type: str
    data: str


class UrlSource(Struct, tag_field="type", tag="url"):
    url: str


class Image(Struct, tag_field="type", tag="image"):
    source: Base64Source | UrlSource


class ToolUse(Struct, tag_field="type", tag="tool_use"):
    id: str
    name: str
    input: msgspec.Raw


class ToolResult(Struct, tag_field="type", tag="tool_result"):
    tool_use_id: str
    content: str


Block = Text | Image | ToolUse | ToolResult


class Turn(Struct):
    role: str
    content: list[Block]


class Tool(Struct, omit_defaults=True):
    name: str
    input_schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class ToolChoice(Struct, omit_defaults=True):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool = False


class Thinking(Struct, omit_defaults=True):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class OutputFormat(Struct, tag_field="type", tag="json_schema"):
    schema: dict[str, Any]


class OutputConfig(Struct, omit_defaults=True):
    effort: str | None = None
    format: OutputFormat | None = None


class Body(Struct, kw_only=True, omit_defaults=True):
    """The body of POST /v1/messages."""

    model: str
    max_tokens: int
    messages: list[Turn]
    system: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    stream: bool = False


class OutputDetails(Struct):
    thinking_tokens: int | None = None


class Usage(Struct):
    """``input_tokens`` leaves out what was read from or written to the cache."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None


class AnswerBlock(Struct):
    type: str
    text: str = ""
    thinking: str = ""
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class Answer(Struct):
    """A whole answer; in a stream's first event it is still empty."""

    content: list[AnswerBlock]
    stop_reason: str | None = None
    usage: Usage | None = None


class Delta(Struct):
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class Event(Struct):
    """One event of a stream; ``type`` says which of the fields it has."""

    type: str
    index: int = 0
    message: Answer | None = None
    content_block: AnswerBlock | None = None
    delta: Delta | None = None
    usage: Usage | None = None


class FaultDetails(Struct):
    error_code: str | None = None


class Fault(Struct):
    type: str = ""
    message: str = ""
    details: FaultDetails | None = None


class ErrorAnswer(Struct):
    error: Fault
