"""Stretches of time, put together from the units for which usage is added up already."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
"""Microseconds."""
RECORDS = 1
"""The unit of what nothing is added up for: a microsecond."""
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(at: datetime) -> int:
    """Microseconds since 1970, exactly; ``at`` must be timezone-aware."""
    return (at - EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    return EPOCH + timedelta(microseconds=value)


class Piece(NamedTuple):
    """``[low, high)`` in microseconds since 1970, in whole ``unit``s."""

    unit: int
    low: int
    high: int


Shares = Mapping[int, Mapping[tuple[int, int], Sequence[tuple[int, int]]]]
"""By unit, and by interval in whole ones: the indexes of slices that it is a part of, each with 1, or with -1 where it
is to be taken away."""


def pieces(low: int, high: int, units: Sequence[int]) -> list[Piece]:
    """What ``[low, high)`` consists of, all within; ``units`` from the longest to the shortest, of which each is whole
    multiples of the next and the last one divides both ends."""
    if low >= high:
        return []
    unit, *finer = units
    if not finer:
        return [Piece(unit, low, high)]
    first, last = -(-low // unit) * unit, high // unit * unit
    if first >= last:
        return pieces(low, high, finer)
    return [Piece(unit, first, last), *pieces(low, first, finer), *pieces(last, high, finer)]


def shares(edges: Sequence[int], units: Sequence[int]) -> Shares:
    """What the slices between neighbours of ``edges`` (in order) consist of; ``units`` as for `pieces`.

    Each edge is rounded to the nearest of the longest unit that is worth it: a slice is at least half of one. What that
    was too much or too little for the slices on its two sides is told by the shorter units, half of the next longer
    one at most: of each edge once, not of each slice.
    """
    longest, *finer = _worth_it(edges, units)
    found: defaultdict[int, defaultdict[tuple[int, int], list[tuple[int, int]]]]
    found = defaultdict(lambda: defaultdict(list))
    ends = [_nearest(edge, longest) for edge in edges]
    for index, (low, high) in enumerate(pairwise(ends)):
        if low < high:
            found[longest][low, high].append((index, 1))
    for place, (at, edge) in enumerate(zip(ends, edges, strict=True)):
        for unit in finer:
            end = _nearest(edge, unit)
            if at != end:
                found[unit][min(at, end), max(at, end)] += _sides(place, len(edges), 1 if at < end else -1)
            at = end
    return found


def _sides(place: int, edges: int, sign: int) -> list[tuple[int, int]]:
    """What comes before an edge is more of the slice that ends there, and less of the one that begins."""
    return [(place - 1, sign)] * (place > 0) + [(place, -sign)] * (place < edges - 1)


def _worth_it(edges: Sequence[int], units: Sequence[int]) -> Sequence[int]:
    shortest = min((high - low for low, high in pairwise(edges)), default=0)
    return [unit for unit in units if unit <= 2 * shortest] or units[-1:]


def _nearest(edge: int, unit: int) -> int:
    return (edge + unit // 2) // unit * unit
