"""Replacing what accounts do not want to be stored. Patterns are RE2's: they run in linear time, whatever is given."""

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
_DIGITS = 6
"""Numbers with fewer digits are nobody's secret."""


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


class Redaction:
    """One account's patterns."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = [re2.compile(pattern, _options) for pattern in patterns]

    def text(self, text: str) -> str:
        for pattern in self._patterns:
            text = pattern.sub(REPLACEMENT, text)
        return text

    def body(self, data: bytes, most: int, *, cut: bool = False) -> KeptBody:
        """``data`` redacted, and then bounded to ``most`` bytes; ``cut`` says that its end is missing already.

        In JSON every text and every long number is looked at by itself, however it was escaped.
        """
        try:
            text = msgspec.json.encode(self._value(msgspec.json.decode(data))).decode() if data and not cut else None
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            text = None
        if text is None:
            text = self.text(data.decode(errors="replace"))
        encoded = text.encode()
        if len(encoded) <= most:
            return KeptBody(text, cut)
        return KeptBody(encoded[:most].decode(errors="ignore"), truncated=True)

    def _value(self, value: Any) -> Any:
        if not self._patterns:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._value(each) for each in value]
        if isinstance(value, dict):
            return {self.text(name): self._value(each) for name, each in value.items()}
        if isinstance(value, int) and abs(value) >= 10**_DIGITS and self.text(str(value)) != str(value):
            return REPLACEMENT
        return value
