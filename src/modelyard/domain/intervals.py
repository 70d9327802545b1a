"""Stretches of time, put together from the units for which usage is added up already."""

from collections.abc import Sequence
from typing import NamedTuple

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
"""Microseconds."""
RECORDS = 1
"""The unit of what nothing is added up for: a microsecond."""


class Piece(NamedTuple):
    """``[low, high)`` in microseconds since 1970, in whole ``unit``s; to be taken away where it is ``negative``."""

    unit: int
    low: int
    high: int
    negative: bool = False


def pieces(low: int, high: int, units: Sequence[int], *, nearest: bool = False) -> list[Piece]:
    """What ``[low, high)`` consists of; ``units`` from the longest to the shortest, of which each is whole multiples of
    the next and the last one divides both ends.

    With ``nearest`` edges are rounded to the nearest unit, and what that was too much is taken away again: so at each
    edge half a unit at most is put together from shorter ones. Without it all pieces lie within, and none is negative.
    """
    found: list[Piece] = []
    _cut(low, high, units, nearest, False, found)
    return found


def _cut(low: int, high: int, units: Sequence[int], nearest: bool, negative: bool, found: list[Piece]) -> None:
    if low >= high:
        return
    unit, *finer = units
    if not finer:
        found.append(Piece(unit, low, high, negative))
        return
    half = unit // 2
    first = (low + half) // unit * unit if nearest else -(-low // unit) * unit
    last = (high + half) // unit * unit if nearest else high // unit * unit
    if high - low <= abs(first - low) + abs(high - last):
        _cut(low, high, finer, nearest, negative, found)
        return
    found.append(Piece(unit, first, last, negative))
    for begin, end in ((low, first), (last, high)):
        _cut(begin, end, finer, nearest, negative, found)
        _cut(end, begin, finer, nearest, not negative, found)
