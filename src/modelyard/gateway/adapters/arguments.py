"""Arguments of tool calls, for formats in which they are an object and not a text."""

import msgspec

from modelyard.domain.inference import ToolCall
from modelyard.errors import InvalidRequest, UpstreamError

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def as_object(text: str) -> msgspec.Raw | None:
    """``text`` as it is, if it is a JSON object; else None."""
    try:
        _object.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
    return msgspec.Raw(text.encode())


def as_text(arguments: msgspec.Raw) -> str:
    """An object in a vendor's answer as the text that callers get, as it was written. Raises `UpstreamError`
    where it is none."""
    try:
        return bytes(arguments).decode()
    except UnicodeDecodeError as error:
        raise UpstreamError(f"The vendor's tool call is no text: {error}.", code="upstream_garbage") from error


def arguments_of(call: ToolCall, message: int, number: int) -> msgspec.Raw:
    """The arguments of ``call``, the ``number``-th of the ``message``-th message. A model that had nothing to say may
    have said nothing. Raises `InvalidRequest` naming the place where they are no object."""
    arguments = as_object(call.function.arguments or "{}")
    if arguments is None:
        place = ("body", "messages", message, "tool_calls", number, "function", "arguments")
        raise InvalidRequest.at(*place, msg="must be a JSON object, as this vendor takes no other arguments")
    return arguments
