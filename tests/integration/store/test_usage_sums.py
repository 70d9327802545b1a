"""Sums over slices, against a plain fold of the same records."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from modelyard.domain.usage import slice_starts
from modelyard.store import Store

CENTURY = timedelta(days=36_525)
SPANS = some.timedeltas(timedelta(microseconds=1), CENTURY)


def folded(records, starts, end):
    """Slice by slice, as anyone would write it who has time."""
    prompt, response = Counter(), Counter()
    for record in records:
        if starts[0] <= record.started_at < end:
            index = sum(start <= record.started_at for start in starts) - 1
            prompt[index] += record.prompt_tokens
            response[index] += record.response_tokens
    return [(index, prompt[index], response[index]) for index in sorted(prompt)]


async def summed(store, records, starts, end, model_name):
    async with store.begin() as tx:
        await tx.usage.add(records)
    async with store.read() as tx:
        return await tx.usage.sums(starts, end, model_name=model_name)


@pytest.fixture
def runner():
    with asyncio.Runner() as running:
        yield running


@pytest.fixture
def opened(url, runner):
    """A store in a loop that outlives each of hypothesis' examples."""
    store = runner.run(Store.open(url))
    yield store
    runner.run(store.aclose())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(begin=some.datetimes(datetime(1950, 1, 1), datetime(2050, 1, 1)), span=SPANS, data=some.data())
def test_sums_are_what_a_plain_fold_says(opened, runner, make, begin, span, data):
    start = begin.replace(tzinfo=UTC)
    end = start + span
    starts = slice_starts(start, end, data.draw(some.integers(1, 60), "chunks"))
    name = str(next(make._numbers))  # every example has calls of its own
    edges = some.sampled_from([*starts, end])
    near = some.builds(lambda edge, by: edge + timedelta(microseconds=by), edges, some.integers(-1, 1))
    times = data.draw(some.lists(near | some.datetimes(timezones=some.just(UTC)), max_size=12), "times")
    records = [
        make.usage(model_name=name, started_at=at, prompt_tokens=2**position, response_tokens=3)
        for position, at in enumerate(times)
    ]
    assert runner.run(summed(opened, records, starts, end, name)) == folded(records, starts, end)


async def test_a_century_in_ten_thousand_slices(store, make):
    start = datetime(1950, 1, 1, tzinfo=UTC)
    end = start + CENTURY
    starts = slice_starts(start, end, 10_000)
    microsecond = timedelta(microseconds=1)
    times = [at + by for at in starts[::97] for by in (-microsecond, timedelta(0), microsecond)]
    records = [make.usage(started_at=at, model_name="m") for at in (*times, end - microsecond, end)]
    assert await summed(store, records, starts, end, "m") == folded(records, starts, end)
