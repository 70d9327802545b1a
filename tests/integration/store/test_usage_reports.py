"""Usage in any cut, against a plain fold of the same records, on both databases."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from modelyard.domain.calendars import moment, slices
from modelyard.domain.rollups import SUMS
from modelyard.domain.usage import Outcome
from modelyard.store.usage_reports import Query

START = datetime(2025, 1, 31, 22, tzinfo=UTC)
HOURS = 24 * 320
NAMES = {
    "hour": "%Y-%m-%d %H %z",
    "day": "%Y-%m-%d",
    "week": "%G-%V",
    "month": "%Y-%m",
}
"""What an interval is called, by the clocks in its zone."""


@pytest.fixture
async def records(store, make):
    some = random.Random(1)
    made = [
        make.usage(
            started_at=START + timedelta(minutes=some.randrange(60 * HOURS)),
            model_name=some.choice("ab"),
            account_id=some.choice(["one", "two", "three"]),
            outcome=some.choice(list(Outcome)),
            prompt_tokens=some.randrange(1000),
        )
        for _ in range(600)
    ]
    async with store.begin() as tx:
        await tx.usage.add(made)
    return made


@pytest.mark.parametrize("place", ["UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("interval", NAMES)
async def test_slices_of_time_are_what_a_plain_fold_says(store, records, interval, place):
    zone = UTC if place == "UTC" else ZoneInfo(place)
    end = START + timedelta(hours=HOURS)
    cut = slices(interval, zone, START, end)
    async with store.read() as tx:
        rows = await tx.usage.report(START, end, Query(["model_name"], cut, {}, ["one", "two"]))
    calls, tokens, errors = Counter(), Counter(), Counter()
    for record in records:
        if record.account_id != "three":
            key = (record.started_at.astimezone(zone).strftime(NAMES[interval]), record.model_name)
            calls[key] += 1
            tokens[key] += record.prompt_tokens
            errors[key] += record.outcome is Outcome.ERROR
    found = {(moment(cut, row.at, zone).strftime(NAMES[interval]), *row.group): row for row in rows}
    assert len(found) == len(rows), "no slice is told twice"
    assert {key: row.sums[SUMS.index("calls")] for key, row in found.items()} == calls
    assert {key: row.sums[SUMS.index("prompt_tokens")] for key, row in found.items()} == tokens
    assert {key: row.errors for key, row in found.items()} == {key: errors[key] for key in calls}
    assert [row.at for row in rows] == sorted(row.at for row in rows)


async def test_without_an_interval_the_most_called_are_first_and_conditions_hold(store, records):
    end = START + timedelta(hours=HOURS)
    async with store.read() as tx:
        rows = await tx.usage.report(START, end, Query(["account_id"], where={"model_name": "a"}))
        (two,) = await tx.usage.report(START, end, Query(["account_id"], where={"model_name": "a"}, limit=1))
        later = await tx.usage.report(START + timedelta(hours=100), end, Query())
    calls = Counter(record.account_id for record in records if record.model_name == "a")
    assert [(row.at, *row.group, row.sums[0]) for row in rows] == [
        (None, account, number) for account, number in calls.most_common()
    ]
    assert two == rows[0]
    assert later[0].sums[0] == sum(record.started_at >= START + timedelta(hours=100) for record in records)


async def test_from_when_to_when_there_is_usage_is_told(store, make):
    async with store.begin() as tx:
        assert await tx.usage.span() is None
        await tx.usage.add([make.usage(started_at=START + timedelta(minutes=by)) for by in (5, 130)])
        assert await tx.usage.span() == (START, START + timedelta(hours=2))
