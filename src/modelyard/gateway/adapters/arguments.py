"""Arguments of tool calls, for formats in which they are an object and not a text."""

import msgspec

from modelyard.domain.inference import ToolCall
from modelyard.errors import InvalidRequest

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def as_object(text: str) -> msgspec.Raw | None:
    """``text`` as it is, if it is a JSON object; else None."""
    try:
        _object.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    return msgspec.Raw(text.encode())


def arguments_of(call: ToolCall, message: int, number: int) -> msgspec.Raw:
    """The arguments of ``call``, the ``number``-th of the ``message``-th message. A model that had nothing to say may
    have said nothing. Raises `InvalidRequest` naming the place where they are no object."""
    arguments = as_object(call.function.arguments or "{}")
    if arguments is None:
        place = ("body", "messages", message, "tool_calls", number, "function", "arguments")
        raise InvalidRequest.at(*place, msg="must be a JSON object, as this vendor takes no other arguments")
    return arguments
