"""Stretches of time, put together from the units for which usage is added up already."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
"""Microseconds."""
RECORDS = 1
"""The unit of what nothing is added up for: a microsecond."""


@dataclass(frozen=True, slots=True)
class Piece:
    """``[low, high)`` in microseconds since 1970, in whole ``unit``s; to be taken away where it is ``negative``."""

    unit: int
    low: int
    high: int
    negative: bool = False


def pieces(low: int, high: int, units: Sequence[int], *, nearest: bool = False) -> Iterator[Piece]:
    """What ``[low, high)`` consists of; ``units`` from the longest to the shortest, of which each is whole multiples of
    the next and the last one divides both ends.

    With ``nearest`` edges are rounded to the nearest unit, and what that was too much is taken away again: so at each
    edge half a unit at most is put together from shorter ones. Without it all pieces lie within, and none is negative.
    """
    if low >= high:
        return
    unit, *finer = units
    if not finer:
        yield Piece(unit, low, high)
        return
    half = unit // 2
    first = (low + half) // unit * unit if nearest else -(-low // unit) * unit
    last = (high + half) // unit * unit if nearest else high // unit * unit
    if high - low <= abs(first - low) + abs(high - last):
        yield from pieces(low, high, finer, nearest=nearest)
        return
    yield Piece(unit, first, last)
    for begin, end in ((low, first), (last, high)):
        yield from pieces(begin, end, finer, nearest=nearest)
        yield from (_opposite(each) for each in pieces(end, begin, finer, nearest=nearest))


def _opposite(piece: Piece) -> Piece:
    return Piece(piece.unit, piece.low, piece.high, not piece.negative)
