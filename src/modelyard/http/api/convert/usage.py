"""Usage, to and from the wire."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from modelyard.domain.usage import Slice
from modelyard.errors import InvalidRequest
from modelyard.http.api.wire.usage import UsageAnswer, UsagePoint

# A plus sign that nobody encoded arrives as a space.
_LOST_PLUS = re.compile(r"(?<=[0-9]) (?=[0-9]{2}(:?[0-9]{2}){0,2}\Z)")


def zone_of(name: str) -> tzinfo:
    """The time zone of a query."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:
        msg = "is no time zone of the IANA database, as Europe/Berlin or America/New_York are"
        raise InvalidRequest.at("query", "timezone", msg=msg) from error


def moment(text: str, name: str, zone: tzinfo = UTC) -> datetime:
    """A query's ISO 8601 date or date and time, in UTC; without an offset it is as clocks in ``zone`` show it."""
    if "T" in text or text.count(" ") > 1:
        text = _LOST_PLUS.sub("+", text)
    try:
        parsed = datetime.fromisoformat(text)
        return (parsed.replace(tzinfo=zone) if parsed.tzinfo is None else parsed).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        msg = "is no date and time of ISO 8601, as in 2026-11-01T00:00:00Z or 2026-11-01T02:00:00+02:00"
        raise InvalidRequest.at("query", name, msg=msg) from error


def answer(slices: Sequence[Slice]) -> UsageAnswer:
    return UsageAnswer(
        data=[
            UsagePoint(
                date=each.start,
                prompt_tokens=each.prompt_tokens,
                response_tokens=each.response_tokens,
                summary_tokens=each.prompt_tokens + each.response_tokens,
            )
            for each in slices
        ],
        start_date=slices[0].start,
        end_date=slices[-1].start,
    )
