"""Stretches of time from units: exact, nothing twice, and little of the short ones."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from modelyard.domain.intervals import DAY, HOUR, MINUTE, RECORDS, pieces

UNITS = (DAY, HOUR, MINUTE, RECORDS)
MOMENTS = some.integers(-3 * DAY, 40 * DAY) | some.builds(
    lambda number, unit, by: number * unit + by, some.integers(-3, 30), some.sampled_from(UNITS), some.integers(-2, 2)
)


def covered(found):
    """How often each moment between two edges is there: what is taken away counts as -1."""
    edges = sorted({at for piece in found for at in (piece.low, piece.high)})
    times = Counter()
    for piece in found:
        for low in edges:
            if piece.low <= low < piece.high:
                times[low] += -1 if piece.negative else 1
    return [(low, high, times[low]) for low, high in pairwise(edges) if times[low]]


@given(first=MOMENTS, second=MOMENTS, nearest=some.booleans())
@example(first=HOUR // 2, second=HOUR + HOUR // 2, nearest=True)
@example(first=HOUR // 2 + 1, second=HOUR + HOUR // 2 - 1, nearest=True)
@example(first=20 * MINUTE, second=50 * MINUTE, nearest=True)
def test_pieces_are_exactly_what_was_asked_for(first, second, nearest):
    low, high = sorted((first, second))
    found = list(pieces(low, high, UNITS, nearest=nearest))
    spans = covered(found)
    assert all(count == 1 for _, _, count in spans)
    assert sum(end - begin for begin, end, _ in spans) == high - low
    assert all(low <= begin and end <= high for begin, end, _ in spans)
    for piece in found:
        assert piece.low < piece.high
        assert piece.low % piece.unit == piece.high % piece.unit == 0


@given(first=MOMENTS, second=MOMENTS)
def test_without_nearest_nothing_is_taken_away(first, second):
    low, high = sorted((first, second))
    assert not any(piece.negative for piece in pieces(low, high, UNITS))


@given(first=MOMENTS, second=MOMENTS)
def test_no_more_than_half_a_unit_at_an_edge_is_put_together_from_shorter_ones(first, second):
    low, high = sorted((first, second))
    longest = Counter()
    for piece in pieces(low, high, UNITS, nearest=True):
        longest[piece.unit] += piece.high - piece.low
    # At both edges; what is shorter than a unit may be it from end to end.
    assert longest[RECORDS] <= MINUTE
    assert longest[MINUTE] <= HOUR
    assert longest[HOUR] <= DAY


@pytest.mark.parametrize("units", [UNITS, (HOUR,)])
def test_nothing_is_nothing(units):
    assert list(pieces(HOUR, HOUR, units)) == []
    assert list(pieces(HOUR, 0, units)) == []


def test_what_is_shorter_than_a_unit_is_not_the_unit_without_the_rest():
    around_the_middle = HOUR // 2 - MINUTE, HOUR // 2 + MINUTE
    assert [piece.unit for piece in pieces(*around_the_middle, UNITS, nearest=True)] == [MINUTE]
