"""Usage by the hour, and what can still be told of how long calls took."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from modelyard.domain.rollups import BUCKETS, CLASSES, SUMS, by_hour, percentile
from modelyard.testing.usage import make_usage

RECORD = make_usage(prompt_tokens=1000, vendor="OPENAI", vendor_model="gpt-x")
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def test_records_of_one_hour_that_are_alike_are_one_row() -> None:
    moments = [NOON, NOON + timedelta(minutes=59, seconds=59.999999), NOON + timedelta(hours=1)]
    hours = by_hour(replace(RECORD, started_at=at, cost_nano=5, cached_tokens=7) for at in moments)
    assert [hour.hour for hour in hours] == [NOON, NOON + timedelta(hours=1)]
    sums = dict(zip(SUMS, hours[0].sums, strict=True))
    assert (sums["calls"], sums["prompt_tokens"], sums["cost_nano"], sums["cached_tokens"]) == (2, 2000, 10, 14)
    assert sums["unpriced"] == 0
    assert sum(hours[0].classes) == 2


@pytest.mark.parametrize(
    "change", [{"key_id": "x"}, {"vendor": None}, {"model_name": "x"}, {"account_id": "k", "key_id": "a"}]
)
def test_whatever_differs_is_told_apart(change: dict[str, str]) -> None:
    first, second = by_hour([RECORD, replace(RECORD, **change)])  # type: ignore[arg-type]
    assert first.digest != second.digest


def test_a_call_without_a_price_is_counted_as_such() -> None:
    (hour,) = by_hour([RECORD, replace(RECORD, cost_nano=1), replace(RECORD, prompt_tokens=0, response_tokens=0)])
    assert dict(zip(SUMS, hour.sums, strict=True))["unpriced"] == 1


def test_percentiles_are_right_to_the_width_of_a_class() -> None:
    seconds = [0.001 * n for n in range(1, 1001)]
    (hour,) = by_hour(replace(RECORD, total_seconds=each) for each in seconds)
    for share in (0.1, 0.5, 0.95, 0.99):
        told, true = percentile(hour.classes, share), share
        assert told is not None
        assert true / 2 <= told <= true * 2
    assert percentile([0] * len(CLASSES), 0.5) is None
    assert percentile([0] * (len(CLASSES) - 1) + [3], 0.5) == BUCKETS[-1]
