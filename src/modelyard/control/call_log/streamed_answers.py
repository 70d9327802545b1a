"""An event stream as one answer: pieces of a text become the text, so that a pattern finds what was cut in two."""

from collections.abc import Iterator
from typing import Any

import msgspec

_TEXTS = frozenset({"content", "text", "arguments", "reasoning_content", "reasoning", "thinking", "refusal"})
"""Names of fields whose values are pieces; of others the last one counts."""

_BEGINS = (b"data:", b"event:", b":", b"id:", b"retry:")


def is_stream(data: bytes) -> bool:
    """Whether an answer is an event stream."""
    return data.startswith(_BEGINS)


def folded(data: bytes) -> bytes:
    """The answer as JSON; empty where no event holds an object."""
    whole: Any = None
    for event in _events(data):
        whole = event if whole is None else _merged(whole, event, "")
    return b"" if whole is None else msgspec.json.encode(whole)


def _events(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.splitlines():
        if not line.startswith(b"data:"):
            continue
        try:
            event = msgspec.json.decode(line[5:])
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            continue  # such as [DONE], or one that was cut
        if isinstance(event, dict):
            yield event


def _merged(have: Any, more: Any, name: str) -> Any:
    if isinstance(have, dict) and isinstance(more, dict):
        return have | {key: _merged(have.get(key), value, key) for key, value in more.items()}
    if isinstance(have, list) and isinstance(more, list):
        return _completions(have, more) if name == "completions" else _listed(have, more, name)
    if isinstance(have, str) and isinstance(more, str) and name in _TEXTS:
        return have + more
    return have if more is None else more


def _listed(have: list[Any], more: list[Any], name: str) -> list[Any]:
    """Elements that say their index are merged there; others one by one."""
    found = {_index(each, at): each for at, each in enumerate(have)}
    for at, each in enumerate(more):
        index = _index(each, at)
        found[index] = _merged(found[index], each, name) if index in found else each
    return [found[index] for index in sorted(found)]


def _index(element: Any, position: int) -> int:
    index = element.get("index") if isinstance(element, dict) else None
    return index if isinstance(index, int) else position


def _completions(have: list[Any], more: list[Any]) -> list[Any]:
    """Of /v4: ``[[prompt, [piece]]]``."""
    try:
        [[prompt, [text]]], [[_, [piece]]] = have, more
        return [[prompt, [text + piece]]]
    except (ValueError, TypeError):
        return more
