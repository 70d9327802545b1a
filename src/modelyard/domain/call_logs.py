"""The call log: what is known of each call, and what an account wants to be kept of its content."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from modelyard.domain.usage import UsageRecord

_MICROSECONDS = 14
"""Hexadecimal digits of the time in a log id; enough for the year 4253."""

BY_COLUMN = (
    "key_id",
    "identity_id",
    "deployment_id",
    "model_id",
    "model_name",
    "vendor",
    "verb",
    "outcome",
    "error_code",
    "request_id",
)
"""What calls can be filtered by, besides account and time."""


def log_id(microseconds: int, record_id: str) -> str:
    """A call's id in the log: its time and the record's own id, so that it is found by the primary key."""
    return f"{microseconds:0{_MICROSECONDS}x}{record_id}"


def parsed_log_id(text: str) -> tuple[int, str] | None:
    """Microseconds since 1970, and the record's id; None where ``text`` is no such id."""
    time, record_id = text[:_MICROSECONDS], text[_MICROSECONDS:]
    if not record_id or len(time) != _MICROSECONDS or not set(time) <= set("0123456789abcdef"):
        return None
    return int(time, 16), record_id


class Keeps(StrEnum):
    """Of which calls the bodies are kept."""

    NONE = "none"
    ERRORS = "errors"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class CallLogSettings:
    """What an account wants to be kept of its calls' content."""

    account_id: str
    bodies: Keeps = Keeps.NONE
    retention_days: int = 30
    redact: tuple[str, ...] = ()
    """Regular expressions (RE2); what they match is replaced before anything is stored."""
    max_body_bytes: int = 65_536
    """The longest body that is kept whole, uncompressed; of others the beginning is."""


@dataclass(frozen=True, slots=True)
class KeptBody:
    """What is kept of one side of a call, redacted."""

    text: str
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class KeptCall:
    """The content of one call."""

    record_id: str
    started_at: datetime
    account_id: str
    path: str
    request: KeptBody
    answer: KeptBody


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """A call as the log has it; ``content`` only where it was kept and may be seen."""

    record: UsageRecord
    content: KeptCall | None = None


class Captured(Struct, frozen=True):
    """A call that is over, and both of its sides as they went by."""

    record: UsageRecord
    path: str
    request: bytes
    answer: tuple[bytes, ...]
    cut: bool
    """Whether the answer's end is missing."""
    settings: CallLogSettings

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return len(self.request) + sum(map(len, self.answer))
