"""Stretches of time from units: exact, nothing twice, and little of the short ones."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from modelyard.domain.intervals import DAY, HOUR, MINUTE, RECORDS, pieces, shares

UNITS = (DAY, HOUR, MINUTE, RECORDS)
MOMENTS = some.integers(-3 * DAY, 40 * DAY) | some.builds(
    lambda number, unit, by: number * unit + by, some.integers(-3, 30), some.sampled_from(UNITS), some.integers(-2, 2)
)


def covered(found):
    """How often each moment between two edges is there; ``found`` has intervals, and what each of them counts."""
    edges = sorted({at for low, high, _ in found for at in (low, high)})
    times = Counter()
    for begin, end, sign in found:
        for low in edges:
            if begin <= low < end:
                times[low] += sign
    return [(low, high, times[low]) for low, high in pairwise(edges) if times[low]]


@given(first=MOMENTS, second=MOMENTS)
@example(first=HOUR // 2, second=HOUR + HOUR // 2)
@example(first=20 * MINUTE, second=50 * MINUTE)
def test_pieces_are_exactly_what_was_asked_for(first, second):
    low, high = sorted((first, second))
    found = pieces(low, high, UNITS)
    spans = covered([(piece.low, piece.high, 1) for piece in found])
    assert all(count == 1 for _, _, count in spans)
    assert sum(end - begin for begin, end, _ in spans) == high - low
    for piece in found:
        assert low <= piece.low < piece.high <= high
        assert piece.low % piece.unit == piece.high % piece.unit == 0
    longest = Counter()
    for piece in found:
        longest[piece.unit] += piece.high - piece.low
    # At both edges less than one of the next longer unit.
    assert longest[RECORDS] < 2 * MINUTE
    assert longest[MINUTE] < 2 * HOUR
    assert longest[HOUR] < 2 * DAY


@pytest.mark.parametrize("units", [UNITS, (HOUR,)])
def test_nothing_is_nothing(units):
    assert pieces(HOUR, HOUR, units) == []
    assert pieces(HOUR, 0, units) == []
    assert shares([HOUR, HOUR], units) == {}
    assert shares([HOUR], units) == {}


@given(edges=some.lists(MOMENTS, min_size=2, max_size=8).map(sorted))
@example(edges=[20 * MINUTE, 50 * MINUTE])
@example(edges=[HOUR // 2 - MINUTE, HOUR // 2, HOUR // 2 + MINUTE])
@example(edges=[7, 7, 7 + DAY])
def test_every_slice_is_exactly_what_is_between_its_edges(edges):
    found = shares(edges, UNITS)
    parts = [[] for _ in pairwise(edges)]
    for unit, intervals in found.items():
        for (low, high), of in intervals.items():
            assert low < high
            assert low % unit == high % unit == 0
            for index, sign in of:
                parts[index].append((low, high, sign))
    for (low, high), part in zip(pairwise(edges), parts, strict=True):
        assert covered(part) == [] if low == high else covered(part)
        assert sum((end - begin) * count for begin, end, count in covered(part)) == high - low
        assert all(low <= begin and end <= high and count == 1 for begin, end, count in covered(part))


@given(edges=some.lists(MOMENTS, min_size=2, max_size=8).map(sorted))
def test_of_shorter_units_half_a_longer_one_is_read_at_each_edge(edges):
    shortest = min(high - low for low, high in pairwise(edges))
    for unit, longer in pairwise(reversed(UNITS)):
        read = sum(high - low for low, high in shares(edges, UNITS).get(unit, {}))
        if longer <= 2 * shortest:
            assert read <= longer // 2 * len(edges)
        else:  # it is the longest, or none of it is read
            assert read <= edges[-1] - edges[0] + longer
