"""A conversation in OpenAI's words, natively."""

import base64
import binascii
import re
from collections.abc import Sequence

from modelyard.domain.inference import ImageData, ImageUrl, Message, Part
from modelyard.errors import InvalidRequest
from modelyard.http.openai.bodies import ChatMessage, ContentPart
from modelyard.http.openai.refusals import unsupported

_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)(?P<parameters>(?:;[\w.+=-]+)*?);base64,", re.ASCII)


def native_messages(messages: Sequence[ChatMessage]) -> list[Message]:
    """The same conversation. A developer's message is a system message; content parts of others than the user are
    joined, as only users send images."""
    return [_message(message, index) for index, message in enumerate(messages)]


def _message(message: ChatMessage, index: int) -> Message:
    if message.role == "user":
        return Message("user", _said_by_user(message, index))
    if message.role == "function" or message.function_call is not None:
        raise unsupported("messages", "functions are OpenAI's old way; use tools", index)
    if message.audio is not None:
        raise unsupported("messages", "no model here reads audio", index, "audio")
    text = _text(message, index)
    if message.role == "tool":
        if message.tool_call_id is None:
            raise _wrong("a message of role tool says which call it answers", index, "tool_call_id", type="missing")
        return Message("tool", text, tool_call_id=message.tool_call_id)
    if message.role == "assistant":
        return Message("assistant", text or message.refusal or "", tool_calls=message.tool_calls or None)
    return Message("system", text)


def _text(message: ChatMessage, index: int) -> str:
    if message.content is None:
        if message.role == "assistant":
            return ""
        raise _wrong("required, but not given", index, "content", type="missing")
    if isinstance(message.content, str):
        return message.content
    pieces = []
    for place, part in enumerate(message.content):
        said = part.text if part.type == "text" else part.refusal if part.type == "refusal" else None
        if said is None:
            raise _wrong(f"a message of role {message.role} holds text only", index, "content", place)
        pieces.append(said)
    return "\n".join(pieces)


def _said_by_user(message: ChatMessage, index: int) -> str | list[Part]:
    if message.content is None:
        raise _wrong("required, but not given", index, "content", type="missing")
    if isinstance(message.content, str):
        return message.content
    if all(part.type == "text" for part in message.content):
        return _text(message, index)
    return [_part(part, index, place) for place, part in enumerate(message.content)]


def _part(part: ContentPart, index: int, place: int) -> Part:
    if part.type == "text" and part.text is not None:
        return Part(text=part.text)
    if part.type == "image_url" and part.image_url is not None:
        return _image(part.image_url, index, place)
    if part.type in ("text", "image_url"):
        raise _wrong("required, but not given", index, "content", place, part.type, type="missing")
    raise unsupported("messages", f"parts of type '{part.type}' cannot be read here", index, "content", place)


def _image(image: ImageUrl, index: int, place: int) -> Part:
    """A data: URL becomes image data, as every wire format can say it; any other stays an address."""
    where = (index, "content", place, "image_url", "url")
    if not image.url.startswith("data:"):
        if not image.url.startswith(("https://", "http://")):
            raise _wrong("must be an http(s): or data: URL", *where)
        return Part(image_url=image)
    found = _DATA_URL.match(image.url)
    if found is None:
        raise _wrong("must be like data:image/png;base64,…", *where)
    data = image.url[found.end() :]
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _wrong("its data is not base64", *where) from error
    return Part(image_data=ImageData(data, found["type"], image.detail))


def _wrong(msg: str, *place: str | int, type: str = "value_error") -> InvalidRequest:
    return InvalidRequest.at("body", "messages", *place, msg=msg, type=type)
