"""Replacing what accounts do not want to be stored. Patterns are RE2's: they run in linear time, whatever is given."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
import re2

from modelyard.domain.call_logs import KeptBody
from modelyard.errors import FieldError, InvalidRequest

REPLACEMENT = "[redacted]"
MAX_PATTERNS = 50
MAX_PATTERN_LENGTH = 512

_options = re2.Options()
_options.log_errors = False  # what is wrong is told to whoever sent it
_options.max_mem = 1 << 20
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\/")
"""JSON's, behind which a text could hide from a pattern; those of quotes and of what ends a line hide nothing."""
_LONG = 10**6
"""Numbers below are nobody's secret."""
_EXACT = 2**53
"""Below it a fraction that is whole is the number that was written."""


def check(patterns: Sequence[str]) -> None:
    """Raise `InvalidRequest` naming each pattern that RE2 does not take, and why."""
    errors = []
    for number, pattern in enumerate(patterns):
        try:
            compiled = re2.compile(pattern, _options)
        except re2.error as error:
            why = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
            errors.append(FieldError(("body", "redact", number), f"is no regular expression of RE2: {why}"))
        else:
            if r"\C" in pattern:
                errors.append(FieldError(("body", "redact", number), r"has \C, which would take characters apart"))
            elif compiled.search("") is not None:
                errors.append(FieldError(("body", "redact", number), "matches nothing at all, and so everywhere"))
    if errors:
        raise InvalidRequest(errors, code="invalid_pattern")


_ENDS = re.compile(r"\\[AzQ]|\(\?[a-zA-Z]*-")
"""What may mean something else among other patterns, or where a text stands among others: its very ends, a quotation
without an end, flags that are taken away."""


def _any_of(patterns: Sequence[str]) -> Any | None:
    """One pattern that is found in texts joined by ends of lines wherever one of ``patterns`` is found in one of them,
    and perhaps elsewhere too. None: there is none."""
    if any(_ENDS.search(pattern) for pattern in patterns):
        return None
    try:
        return re2.compile("|".join(f"(?m:{pattern})" for pattern in patterns), _options)
    except re2.error:  # too large together
        return None


class Redaction:
    """One account's patterns. Few texts hold what they are looking for, so all texts of a body are looked through at
    once, and one by one only where there is something."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = [re2.compile(pattern, _options) for pattern in patterns]
        self._any = _any_of(patterns)

    def text(self, text: str) -> str:
        if self._any is not None and self._any.search(text) is None:
            return text
        for pattern in self._patterns:
            text = pattern.sub(REPLACEMENT, text)
        return text

    def body(self, data: bytes, most: int, *, cut: bool = False) -> KeptBody:
        """``data`` redacted, and then bounded to ``most`` bytes; ``cut`` says that its end is missing already.

        In JSON every text and every long number is looked at by itself, however it was escaped; what is no whole JSON
        is looked at as text without escapes.
        """
        text = self._text_of(data, cut=cut)
        encoded = text.encode()
        if len(encoded) <= most:
            return KeptBody(text, cut)
        return KeptBody(encoded[:most].decode(errors="ignore"), truncated=True)

    def _text_of(self, data: bytes, *, cut: bool) -> str:
        if not self._patterns:
            return data.decode(errors="replace")
        try:
            if data and not cut:
                return msgspec.json.encode(self._whole(msgspec.json.decode(data))).decode()
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            pass  # it is no JSON, or such as nobody else would read either
        return self.text(_ESCAPE.sub(_unescaped, data.decode(errors="replace")))

    def _whole(self, value: Any) -> Any:
        if self._any is not None:
            texts: list[str] = []
            _collect(value, texts)
            if self._any.search("\n".join(texts)) is None:
                return value
        return self._value(value)

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._value(each) for each in value]
        if isinstance(value, dict):
            return self._mapping(value)
        return REPLACEMENT if any(self.text(each) != each for each in _spelt(value)) else value

    def _mapping(self, value: dict[str, Any]) -> dict[str, Any]:
        whole: dict[str, Any] = {}
        for name, each in value.items():
            shown = redacted = self.text(name)
            number = 1
            while shown in whole:
                number += 1
                shown = f"{redacted} ({number})"
            whole[shown] = self._value(each)
        return whole


def _collect(value: Any, texts: list[str]) -> None:
    """All that `Redaction._value` looks at."""
    if isinstance(value, str):
        texts.append(value)
    elif isinstance(value, dict):
        texts += value
        for each in value.values():
            _collect(each, texts)
    elif isinstance(value, list):
        for each in value:
            _collect(each, texts)
    else:
        texts += _spelt(value)


def _spelt(value: Any) -> Sequence[str]:
    """The ways in which a number of many digits can be written; none for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) < _LONG:
        return ()
    if isinstance(value, float) and abs(value) < _EXACT and value.is_integer():
        return str(value), str(int(value))
    return (str(value),)


def _unescaped(found: re.Match[str]) -> str:
    if found[1] is None:
        return "/"
    character = chr(int(found[1], 16))
    return character if character.isprintable() else found[0]
