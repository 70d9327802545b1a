"""JSON from strangers: bounded, and clean enough for a database, before anybody looks at what it means."""

import json
import math
from collections.abc import Iterator
from typing import Any

from modelyard.errors import FieldError, InvalidRequest, MalformedRequest

MAX_DEPTH = 64
"""Objects and arrays inside each other; deeper is no sensible request and would exhaust a stack somewhere."""

_MAX_ERRORS = 20
_BIGGEST = 2**63 - 1

Loc = tuple[str | int, ...]


def parse(body: bytes) -> Any:
    """The value that ``body`` holds. Raises `MalformedRequest` for what is no JSON, `InvalidRequest` naming the
    place for what is nested too deeply or holds text or numbers that no store can keep."""
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise _too_deep(("body",)) from error
    except ValueError as error:
        raise MalformedRequest(f"The body is not JSON: {error}.", hint="Send one JSON object.") from error
    errors = [FieldError(_printable(loc), msg) for loc, msg in _faults(value)]
    if errors:
        raise InvalidRequest(errors[:_MAX_ERRORS])
    return value


def unprintable(text: str) -> str | None:
    """What keeps ``text`` from being stored, or None."""
    if "\x00" in text:
        return "must not contain the NUL character"
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        return "must not contain half of a surrogate pair; it is no valid Unicode"
    return None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _too_deep(loc: Loc) -> InvalidRequest:
    return InvalidRequest.at(*loc, msg=f"is nested more than {MAX_DEPTH} levels deep", type="too_deep")


def _faults(value: Any) -> Iterator[tuple[Loc, str]]:
    # A stack of our own: recursion is what deep nesting is out to break.
    stack: list[tuple[Loc, Any]] = [(("body",), value)]
    while stack:
        loc, item = stack.pop()
        if isinstance(item, dict | list):
            if len(loc) > MAX_DEPTH:
                raise _too_deep(_printable(loc[:4]))
            pairs = item.items() if isinstance(item, dict) else enumerate(item)
            for key, inner in pairs:
                if isinstance(key, str) and (fault := unprintable(key)):
                    yield (*loc, key), f"the field's name {fault}"
                if isinstance(inner, dict | list | str | float | int):
                    stack.append(((*loc, key), inner))
        elif isinstance(item, str) and (fault := unprintable(item)):
            yield loc, fault
        elif isinstance(item, float) and not math.isfinite(item):
            yield loc, "is too large for a number"
        elif isinstance(item, int) and not -_BIGGEST <= item <= _BIGGEST:
            yield loc, f"is a whole number beyond ±{_BIGGEST}"


def _printable(loc: Loc) -> Loc:
    # What is wrong with a name must not travel on inside the error about it.
    return tuple(part.encode("unicode_escape").decode() if isinstance(part, str) else part for part in loc)
