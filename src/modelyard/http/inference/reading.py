"""From a request's bytes to a checked struct: bounded, strict, and clear about what is wrong where."""

import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
from starlette.types import Receive, Scope

from modelyard.errors import FieldError, InvalidRequest, MalformedRequest, TooLarge
from modelyard.gateway.metering import ClientGone

T = TypeVar("T")

_AT = re.compile(r"(?P<what>.*?)(?: - at `(?P<key>key in )?\$?(?P<path>[^`]*)`)?\Z", re.DOTALL)
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")
_MISSING = re.compile(r"Object missing required field `([^`]*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `([^`]*)`")


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body; raises `TooLarge` as soon as more than ``limit`` bytes are announced or here, `ClientGone`
    when the client leaves half-way."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and (len(value) > 18 or int(value) > limit):
            raise _too_large(limit)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        return body
    return await _rest(message, receive, limit)


async def _rest(message: Any, receive: Receive, limit: int) -> bytes:
    body = bytearray()
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return bytes(body)
        message = await receive()


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes, the most that a call may have.")


def decode(decoder: "msgspec.json.Decoder[T]", body: bytes, *, nul: bool = False) -> T:
    """``body`` as the decoder's type. `MalformedRequest` for what is no JSON, `InvalidRequest` naming the field
    for JSON that does not fit, or has NUL characters where ``nul`` does not allow them."""
    try:
        value = decoder.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidRequest([field_error(str(error))]) from error
    except msgspec.DecodeError as error:
        hint = "A \\ud800-\\udfff escape must be one of a pair." if b"\\ud" in body or b"\\uD" in body else None
        raise MalformedRequest(f"The body is not JSON: {error}.", hint=hint) from error
    except UnicodeDecodeError as error:
        raise MalformedRequest(f"The body is not UTF-8: {error.reason} at byte {error.start}.") from error
    except RecursionError as error:
        raise MalformedRequest("The body is nested too deeply.", code="too_deep") from error
    if b"\\u0000" in body and not nul:
        _refuse_nul(msgspec.json.decode(body))
    return value


def field_error(text: str) -> FieldError:
    """msgspec's words, with the place in ours: ``Expected `str`, got `int` - at `$.a[0].b``` is at
    ("body", "a", 0, "b")."""
    match = _AT.match(text)
    assert match is not None
    what, path = match["what"], match["path"] or ""
    loc: tuple[str | int, ...] = ("body", *_steps(path))
    if missing := _MISSING.match(what):
        return FieldError((*loc, missing[1]), "required, but not given", "missing")
    if unknown := _UNKNOWN.match(what):
        return FieldError((*loc, unknown[1]), "unknown field", "unknown")
    kind = "type_error" if what.startswith("Expected") and ", got " in what else "value_error"
    return FieldError(loc, what[:1].lower() + what[1:], kind)


def _steps(path: str) -> Iterator[str | int]:
    for name, index in _STEP.findall(path):
        if name:
            yield name
        elif index:
            yield int(index)


def _refuse_nul(value: Any) -> None:
    stack: list[tuple[tuple[str | int, ...], Any]] = [(("body",), value)]
    while stack:
        loc, item = stack.pop()
        if isinstance(item, str) and "\x00" in item:
            raise InvalidRequest.at(*loc, msg="must not contain the NUL character")
        if isinstance(item, dict):
            if any("\x00" in key for key in item):
                raise InvalidRequest.at(*loc, msg="a field's name must not contain the NUL character")
            stack.extend(((*loc, key), inner) for key, inner in item.items())
        elif isinstance(item, list):
            stack.extend(((*loc, index), inner) for index, inner in enumerate(item))
