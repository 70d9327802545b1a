"""Days, weeks and months by the clocks of a place: 23, 24 or 25 hours a day, where summer begins or ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from modelyard.domain.intervals import DAY, HOUR, from_microseconds, to_microseconds

_WEEK = 7 * DAY
_MONDAY = -3 * DAY
"""1970-01-01 was a Thursday."""
_MICROSECOND, _SECOND = timedelta(microseconds=1), timedelta(seconds=1)
_STEP = timedelta(days=1)
"""No place moves its clocks twice within it."""


@dataclass(frozen=True, slots=True)
class Equal:
    """Slices that are equally long as clocks show it; each is called by the clocks' time at which it begins."""

    length: int
    """In microseconds."""
    origin: int
    """Where one begins, before all others; in microseconds since 1970 as clocks show it."""
    ahead: Sequence[tuple[int, int]]
    """From when on clocks are how far ahead of UTC, in microseconds; in order, the first one from the beginning."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Slices that are not; each is called by the moment at which it begins."""

    starts: Sequence[int]
    """In microseconds since 1970, in order."""


Slices = Equal | Listed


def slices(interval: str, zone: tzinfo, start: datetime, end: datetime) -> Slices:
    """How ``[start, end)`` is cut into ``hour``, ``day``, ``week`` or ``month``."""
    if interval == "month":
        return Listed([to_microseconds(at) for at in _months(zone, start, end)])
    # An hour that clocks show twice is two hours.
    ahead = ((0, 0),) if interval == "hour" else _ahead(zone, start, end)
    length = {"hour": HOUR, "day": DAY, "week": _WEEK}[interval]
    return Equal(length, (_MONDAY if interval == "week" else 0) - _WEEK, ahead)


def moment(cut: Slices, label: int, zone: tzinfo) -> datetime:
    """When the slice of this name begins, as clocks in ``zone`` show it."""
    at = from_microseconds(label)
    if isinstance(cut, Listed) or cut.length == HOUR:
        return at.astimezone(zone)
    # By way of UTC: where clocks leave midnight out, the day begins at the next time that they show.
    return at.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)


def edges(cut: Slices) -> Sequence[int]:
    """Slices consist of whole units of time where all of these are multiples of it."""
    return cut.starts if isinstance(cut, Listed) else [cut.length, *(by for _, by in cut.ahead)]


def _ahead(zone: tzinfo, start: datetime, end: datetime) -> list[tuple[int, int]]:
    found = [(0, _offset(zone, start))]
    at = start
    while at < end:
        following = min(at + _STEP, end)
        if (offset := _offset(zone, following)) != found[-1][1]:
            found.append((to_microseconds(_change(zone, at, following)), offset))
        at = following
    return found


def _change(zone: tzinfo, low: datetime, high: datetime) -> datetime:
    """When clocks are moved; they show different offsets at both ends. To the second."""
    before = _offset(zone, low)
    while high - low > _SECOND:
        middle = low + (high - low) // 2
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)


def _offset(zone: tzinfo, at: datetime) -> int:
    ahead = at.astimezone(zone).utcoffset()
    return 0 if ahead is None else ahead // _MICROSECOND


def _months(zone: tzinfo, start: datetime, end: datetime) -> list[datetime]:
    """The first one has ``start`` in it."""
    local = start.astimezone(zone)
    found = [datetime(local.year, local.month, 1, tzinfo=zone)]
    while (following := (found[-1] + timedelta(days=31)).replace(day=1)).astimezone(UTC) < end:
        found.append(following)
    return [at.astimezone(UTC) for at in found]
