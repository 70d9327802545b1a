"""Usage by the minute, hour and day, and what can still be told of how long calls took."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from modelyard.domain.rollups import BUCKETS, CLASSES, DIMENSIONS, SUMS, Sum, Tokens, percentile, rolled_up
from modelyard.domain.usage import Outcome, Verb
from modelyard.testing.usage import make_usage

RECORD = make_usage(prompt_tokens=1000, vendor="OPENAI", vendor_model="gpt-x")
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def begins(each: Sum | Tokens) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=each.at)


def told(added: Sequence[int]) -> dict[str, int]:
    return dict(zip(SUMS, added[: len(SUMS)], strict=True))


def test_records_that_are_alike_are_one_row_of_each_unit() -> None:
    moments = [NOON, NOON + timedelta(minutes=59, seconds=59.999999), NOON + timedelta(hours=1)]
    rollups = rolled_up(replace(RECORD, started_at=at, cost_nano=5, cached_tokens=7) for at in moments)
    assert [begins(hour) for hour in rollups.hours] == [NOON, NOON + timedelta(hours=1)]
    assert [begins(day) for day in rollups.days] == [NOON.replace(hour=0)]
    assert [begins(each) for each in rollups.minutes] == [NOON, NOON + timedelta(minutes=59), NOON + timedelta(hours=1)]
    for sums, calls in ((rollups.hours[0], 2), (rollups.days[0], 3)):
        found = told(sums.added)
        assert (found["calls"], found["prompt_tokens"], found["cost_nano"]) == (calls, 1000 * calls, 5 * calls)
        assert (found["cached_tokens"], found["unpriced"]) == (7 * calls, 0)
        assert sum(sums.added[len(SUMS) :]) == calls
    assert [(each.prompt, each.response) for each in rollups.minutes] == [(1000, 10)] * 3


def test_minutes_tell_apart_what_statistics_do() -> None:
    other = {"key_id": "x", "identity_id": "x", "outcome": Outcome.ERROR, "verb": Verb.EXECUTE, "vendor": None}
    (one,) = rolled_up([RECORD, *(replace(RECORD, **{name: value}) for name, value in other.items())]).minutes  # type: ignore[arg-type]
    assert (one.prompt, one.response) == (6000, 60)
    for name in ("deployment_id", "model_name", "account_id"):
        assert len(rolled_up([RECORD, replace(RECORD, **{name: "x"})]).minutes) == 2  # type: ignore[arg-type]


def test_units_are_those_of_utc_wherever_a_moment_was_told() -> None:
    there = timezone(timedelta(hours=-9, minutes=-30))
    before = datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)
    for moment in (NOON, before):
        rollups = rolled_up([replace(RECORD, started_at=moment.astimezone(there))])
        assert begins(rollups.hours[0]) == moment.replace(minute=0, second=0)
        assert begins(rollups.minutes[0]) == moment.replace(second=0)
        assert begins(rollups.days[0]) == moment.replace(hour=0, minute=0, second=0)


def test_a_row_says_what_its_calls_have_in_common() -> None:
    values = {name: f"its {name}" for name in DIMENSIONS} | {"verb": Verb.RERANKING, "outcome": Outcome.ERROR}
    rollups = rolled_up([replace(RECORD, **values)])  # type: ignore[arg-type]
    for row in (*rollups.hours, *rollups.days):
        assert dict(zip(DIMENSIONS, row.dimensions, strict=True)) == values


def test_every_sum_is_of_its_own_field() -> None:
    counts = {"prompt_tokens": 1000, "response_tokens": 200, "cached_tokens": 30, "reasoning_tokens": 4}
    calls = [
        replace(RECORD, **counts, cost_nano=5, estimated=True, total_seconds=0.1),  # type: ignore[arg-type]
        replace(RECORD, **counts, cost_nano=None, total_seconds=0.003),  # type: ignore[arg-type]
        replace(RECORD, **counts, cost_nano=7, total_seconds=300.0),  # type: ignore[arg-type]
    ]
    rollups = rolled_up(calls)
    for row in (*rollups.hours, *rollups.days):
        assert told(row.added) == {
            "calls": 3,
            "prompt_tokens": 3000,
            "response_tokens": 600,
            "cached_tokens": 90,
            "reasoning_tokens": 12,
            "cost_nano": 12,
            "unpriced": 1,
            "estimated": 1,
            "milliseconds": 300_103,
        }
        # Up to 4 ms, up to 128 ms, and more than the highest bound.
        assert [index for index, calls in enumerate(row.added[len(SUMS) :]) if calls] == [2, 7, len(BUCKETS)]


def test_the_hour_that_summer_time_repeats_is_two_hours_and_the_one_it_leaves_out_is_none() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    again = datetime(2026, 10, 25, 2, 30, tzinfo=berlin)
    around = [datetime(2026, 3, 29, 1, 59, tzinfo=berlin), datetime(2026, 3, 29, 3, 0, tzinfo=berlin)]
    moments = [again, again.replace(fold=1), *around]
    hours = {begins(each) for each in rolled_up([replace(RECORD, started_at=at) for at in moments]).hours}
    assert hours == {datetime(2026, 10, 25, hour, tzinfo=UTC) for hour in (0, 1)} | {
        datetime(2026, 3, 29, hour, tzinfo=UTC) for hour in (0, 1)
    }


@pytest.mark.parametrize(
    "change", [*({name: "x"} for name in DIMENSIONS), {"vendor": None}, {"account_id": "key", "key_id": "account"}]
)
def test_whatever_differs_is_told_apart(change: dict[str, str]) -> None:
    first, second = rolled_up([RECORD, replace(RECORD, **change)]).hours  # type: ignore[arg-type]
    assert first.digest != second.digest


def test_a_call_without_a_price_is_counted_as_such() -> None:
    free = replace(RECORD, prompt_tokens=0, response_tokens=0)
    (hour,) = rolled_up([RECORD, replace(RECORD, cost_nano=1), free]).hours
    assert told(hour.added)["unpriced"] == 1


def test_percentiles_are_right_to_the_width_of_a_class() -> None:
    seconds = [0.001 * n for n in range(1, 1001)]
    (hour,) = rolled_up(replace(RECORD, total_seconds=each) for each in seconds).hours
    for share in (0.1, 0.5, 0.95, 0.99):
        told, true = percentile(hour.added[len(SUMS) :], share), share
        assert told is not None
        assert true / 2 <= told <= true * 2
    assert percentile([0] * len(CLASSES), 0.5) is None
    assert percentile([0] * (len(CLASSES) - 1) + [3], 0.5) == BUCKETS[-1]
