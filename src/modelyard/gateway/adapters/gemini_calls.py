"""Tool calls there and back: ids that carry what Gemini wants to see again.

Gemini signs its tool calls, and refuses a conversation whose calls have lost their signatures
(https://ai.google.dev/gemini-api/docs/thought-signatures). Callers give back nothing of a call but its id, name and
arguments; so the signature travels in the id: ``<id>~<signature>``. Nothing has to be kept here for that, and any
gateway can continue any conversation.
"""

import uuid

from modelyard.domain.inference import FunctionCall, Message, ToolCall
from modelyard.errors import InvalidRequest
from modelyard.gateway.adapters import gemini_wire as wire
from modelyard.gateway.adapters.arguments import arguments_of, as_object, as_text

_MARK = "~"
UNSIGNED = "skip_thought_signature_validator"
"""What the vendor's documents give for calls that another model made."""


def call_id(part: wire.Part) -> str:
    """The id to tell a caller for the tool call in ``part``. Older models give none, so one is made."""
    assert part.function_call is not None
    id = part.function_call.id or f"call_{uuid.uuid4().hex}"
    return f"{id}{_MARK}{part.thought_signature}" if part.thought_signature else id


def call_parts(index: int, calls: list[ToolCall], *, signed: bool) -> list[wire.Part]:
    """The calls of message ``index`` as parts. Of calls made side by side only the first is signed."""
    parts = [_call_part(index, number, call) for number, call in enumerate(calls)]
    if signed and all(part.thought_signature is None for part in parts):
        parts[0].thought_signature = UNSIGNED
    return parts


def result_part(index: int, message: Message, names: dict[str, str]) -> wire.Part:
    """What a tool answered. Gemini wants the tool's name with it, which stands in ``names`` by the call's id."""
    assert message.tool_call_id is not None
    name = names.get(message.tool_call_id)
    if name is None:
        place = ("body", "messages", index, "tool_call_id")
        raise InvalidRequest.at(*place, msg="answers no tool call of an earlier message; send the calls too")
    text = str(message.content)
    response = as_object(text) or {"output": text}
    return wire.Part(function_response=wire.FunctionResponse(name, response, message.tool_call_id.split(_MARK)[0]))


def _call_part(index: int, number: int, call: ToolCall) -> wire.Part:
    id, _, signature = call.id.partition(_MARK)
    function = wire.FunctionCall(call.function.name, arguments_of(call, index, number), id)
    return wire.Part(function_call=function, thought_signature=signature or None)


def native_call(part: wire.Part) -> ToolCall:
    """The tool call in ``part``."""
    assert part.function_call is not None
    return ToolCall(call_id(part), FunctionCall(part.function_call.name, as_text(part.function_call.args)))
