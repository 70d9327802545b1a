"""Tools in the OpenAI-compatible format: what is offered, what was called, whole and piece by piece.

Format: https://platform.openai.com/docs/guides/function-calling; what servers leave out is filled in here.
"""

import uuid
from typing import Any

import msgspec

from modelyard.domain.inference import ChatRequest, FunctionCall, Tool, ToolCall, ToolCallPiece
from modelyard.gateway.adapters import openai_wire as wire

_NO_ARGUMENTS: dict[str, Any] = {"type": "object", "properties": {}}


def add_tools(body: wire.TextBody, request: ChatRequest) -> None:
    """The request's tools, and how they are to be used, into ``body``."""
    body.response_format = request.response_format
    if request.tools is None:
        return
    body.tools = [_described(tool) for tool in request.tools]
    body.tool_choice = request.tool_choice
    body.parallel_tool_calls = request.parallel_tool_calls


def _described(tool: Tool) -> Tool:
    """llama.cpp wants ``parameters`` even where a function takes none."""
    if tool.function.parameters is not None:
        return tool
    return msgspec.structs.replace(tool, function=msgspec.structs.replace(tool.function, parameters=_NO_ARGUMENTS))


def whole_calls(calls: list[wire.Call]) -> list[ToolCall]:
    """The calls of an answer that came whole."""
    return [
        ToolCall(call.id or new_id(), FunctionCall(function.name or "", function.arguments or "{}"))
        for call in calls
        if (function := call.function) is not None
    ]


def pieces_of(calls: list[wire.Call] | None) -> list[ToolCallPiece] | None:
    """The pieces of calls in one event of a stream."""
    if not calls:
        return None
    return [_piece(call.index if call.index is not None else place, call) for place, call in enumerate(calls)]


def _piece(index: int, call: wire.Call) -> ToolCallPiece:
    function = call.function or wire.Function()
    name = function.name or None
    # A server that gives its calls no ids begins them with a name all the same.
    id = call.id or (new_id() if name else None)
    return ToolCallPiece(index, id, name, function.arguments or "")


def new_id() -> str:
    """For a call whose server gave it none: the answer to it has to name it."""
    return f"call_{uuid.uuid4().hex[:24]}"
