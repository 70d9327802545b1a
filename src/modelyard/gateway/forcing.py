"""Tool calls that have to be made, of a server that does not see to it.

llama.cpp offers tools and reads calls, but forces none, whatever ``tool_choice`` says. It does keep to a JSON schema,
token by token: so the call itself is asked for as JSON, and what comes back is read as the call. Of one tool the
JSON is the arguments, and its pieces are passed on as they come; of several it says the name too, and is read
when it is whole.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from modelyard.domain.inference import (
    ChatRequest,
    Chunk,
    JsonSchema,
    Message,
    NamedTool,
    ResponseFormat,
    Tool,
    ToolCallPiece,
)
from modelyard.gateway.adapters.wire import StreamDecoder

UNSEEN = "tools: this model's chat template tells it of none"
"""What a caller is told whose tools the model never sees."""

_encode = msgspec.json.Encoder().encode

_NO_ARGUMENTS: Mapping[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


class _Called(msgspec.Struct):
    name: str
    arguments: msgspec.Raw


_called = msgspec.json.Decoder(_Called)


def forced_tools(request: object) -> list[Tool]:
    """The tools of which one has to be called; none where nothing has to be."""
    if not isinstance(request, ChatRequest) or not request.tools:
        return []
    choice = request.tool_choice
    if isinstance(choice, NamedTool):
        return [tool for tool in request.tools if tool.function.name == choice.function.name]
    return request.tools if choice == "required" else []


def as_schema(request: ChatRequest, tools: Sequence[Tool]) -> ChatRequest:
    """``request`` for a server that keeps to schemas only. Its template still writes out all tools."""
    schema = _arguments(tools[0]) if len(tools) == 1 else {"anyOf": [_call(*each) for each in enumerate(tools)]}
    return msgspec.structs.replace(
        request,
        tool_choice="none",
        parallel_tool_calls=None,
        response_format=ResponseFormat("json_schema", JsonSchema("call", schema)),
    )


def described(request: ChatRequest) -> ChatRequest:
    """``request`` with its tools told in its system message, for a template that does not write them out."""
    tools = "\n".join(_encode(tool.function).decode() for tool in request.tools or ())
    text = f"You can call these functions:\n{tools}"
    first, *rest = request.messages
    if first.role == "system" and isinstance(first.content, str):
        system, rest = Message("system", f"{first.content}\n\n{text}"), rest
    else:
        system, rest = Message("system", text), request.messages
    return msgspec.structs.replace(request, messages=[system, *rest])


def _arguments(tool: Tool) -> dict[str, Any]:
    return tool.function.parameters or dict(_NO_ARGUMENTS)


def _call(index: int, tool: Tool) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "name": {"const": tool.function.name},
            "arguments": _moved(_arguments(tool), f"#/anyOf/{index}/properties/arguments/"),
        },
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _moved(schema: Any, root: str) -> Any:
    """``schema`` with its references to itself, once it stands at ``root`` of a larger one."""
    if isinstance(schema, list):
        return [_moved(item, root) for item in schema]
    if not isinstance(schema, dict):
        return schema
    moved = {key: _moved(value, root) for key, value in schema.items()}
    if isinstance(reference := schema.get("$ref"), str) and reference.startswith("#/"):
        moved["$ref"] = root + reference[2:]
    return moved


class ForcedStream:
    """A `StreamDecoder` that reads a call out of another one's text. A call that was cut off before it was whole is
    passed on as far as it came."""

    __slots__ = ("_begun", "_decoder", "_name", "_text")

    def __init__(self, decoder: StreamDecoder, tools: Sequence[Tool]) -> None:
        self._decoder = decoder
        self._name = tools[0].function.name if len(tools) == 1 else None
        self._begun = False
        self._text: list[str] = []

    def feed(self, data: bytes) -> list[Chunk]:
        return [made for chunk in self._decoder.feed(data) for made in self._made(chunk)]

    def flush(self) -> list[Chunk]:
        return [made for chunk in self._decoder.flush() for made in self._made(chunk)]

    def _made(self, chunk: Chunk) -> list[Chunk]:
        if chunk.finish_reason is not None:
            return self._last(chunk)
        if not chunk.text:
            return [chunk]
        if self._name is None:
            self._text.append(chunk.text)
            return []
        piece = ToolCallPiece(0, arguments=chunk.text) if self._begun else _first(self._name, chunk.text)
        self._begun = True
        return [msgspec.structs.replace(chunk, text="", tool_calls=[piece])]

    def _last(self, chunk: Chunk) -> list[Chunk]:
        text = "".join(self._text)
        if text:
            try:
                called = _called.decode(text)
            except msgspec.DecodeError:
                return [Chunk(text), chunk]
            self._begun = True
            told = [Chunk(tool_calls=[_first(called.name, bytes(called.arguments).decode())])]
        else:
            told = []
        if self._begun and chunk.finish_reason == "stop":
            chunk = msgspec.structs.replace(chunk, finish_reason="tool_calls")
        return [*told, chunk]


def _first(name: str, arguments: str) -> ToolCallPiece:
    return ToolCallPiece(0, f"call_{uuid.uuid4().hex[:24]}", name, arguments)
