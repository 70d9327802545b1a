"""Equal slices of time: as many as were asked for, each as long as the others, whether calls fell into it or not."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from modelyard.domain.usage import MAX_CHUNKS, Slice, fold, slice_starts
from modelyard.errors import InvalidRequest

START = datetime(2026, 3, 28, 22, 30, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize("chunks", [1, 3, 7, 999, MAX_CHUNKS])
@pytest.mark.parametrize("span", [timedelta(days=1), timedelta(microseconds=100_003), timedelta(days=365, seconds=1)])
def test_slices_are_equal_to_the_microsecond(span: timedelta, chunks: int) -> None:
    starts = slice_starts(START, START + span, chunks)
    lengths = {end - start for start, end in pairwise([*starts, START + span])}
    assert (len(starts), starts[0]) == (chunks, START)
    assert max(lengths) - min(lengths) <= MICROSECOND


@pytest.mark.parametrize(
    ("span", "chunks", "field"),
    [
        (timedelta(0), 1, "end_date"),
        (-MICROSECOND, 1, "end_date"),
        (timedelta(days=1), 0, "chunks"),
        (timedelta(days=1), 1_000_000, "chunks"),
    ],
)
def test_what_is_no_span_is_refused(span: timedelta, chunks: int, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        slice_starts(START, START + span, chunks)
    assert [error.loc for error in caught.value.errors] == [("query", field)]


def test_slices_without_calls_are_there_with_nothing_in_them() -> None:
    starts = slice_starts(START, START + timedelta(hours=3), 3)
    assert fold(starts, [(1, 5, 7)]) == [Slice(starts[0]), Slice(starts[1], 5, 7), Slice(starts[2])]
