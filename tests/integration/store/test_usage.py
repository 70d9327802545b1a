"""Usage: each call once, sums exact to the microsecond."""

import random
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import func, select

from modelyard.domain.usage import Outcome, Verb, slice_starts
from modelyard.store.tables_of_usage import usage as table

MICROSECOND = timedelta(microseconds=1)


async def add(store, *records):
    async with store.begin() as tx:
        await tx.usage.add(records)


async def sums(store, starts, end, **which):
    async with store.read() as tx:
        return await tx.usage.sums(starts, end, **which)


async def test_every_field_is_written(store, make, now):
    record = make.usage(
        verb=Verb.CHAT_COMPLETION,
        outcome=Outcome.ERROR,
        error_code="upstream_error",
        estimated=True,
        first_byte_seconds=None,
        prompt_tokens=2**40,
    )
    await add(store, record)
    async with store.read() as tx:
        (row,) = await tx.usage._session.execute(select(table))
    for column in table.columns:
        assert getattr(row, column.name) == getattr(record, column.name)


async def test_a_record_that_is_written_again_counts_once(store, make, now):
    first, second = make.usage(), make.usage()
    await add(store, first)
    await add(store, first, second, first)
    await add(store)
    # From the records, and from what is added up by the minute, the hour and the day.
    for span in (MICROSECOND, timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)):
        assert await sums(store, [now], now + span) == [(0, 2, 20)]
    async with store.read() as tx:
        assert (await tx.usage._session.execute(select(func.count()).select_from(table))).scalar_one() == 2


async def test_a_slice_begins_with_its_start_and_ends_before_the_next(store, make, now):
    edge = now + timedelta(hours=1)
    await add(
        store,
        make.usage(started_at=now - MICROSECOND, prompt_tokens=1),
        make.usage(started_at=now, prompt_tokens=2),
        make.usage(started_at=edge - MICROSECOND, prompt_tokens=4),
        make.usage(started_at=edge, prompt_tokens=8),
        make.usage(started_at=edge + MICROSECOND, prompt_tokens=16),
        make.usage(started_at=now + timedelta(hours=3) - MICROSECOND, prompt_tokens=32),
        make.usage(started_at=now + timedelta(hours=3), prompt_tokens=64),
    )
    starts = [now + timedelta(hours=hours) for hours in range(3)]
    assert await sums(store, starts, now + timedelta(hours=3)) == [(0, 6, 20), (1, 24, 20), (2, 32, 10)]


async def test_time_zones_do_not_matter(store, make, now):
    there = timezone(timedelta(hours=-9, minutes=-30))
    await add(store, make.usage(started_at=now.astimezone(there)))
    for zone in (UTC, there, timezone(timedelta(hours=14))):
        start = now.astimezone(zone)
        assert await sums(store, [start], start + MICROSECOND) == [(0, 1, 10)]


async def test_slices_without_calls_are_left_out(store, make, now):
    await add(store, make.usage(started_at=now + timedelta(days=2)))
    starts = slice_starts(now, now + timedelta(days=4), 4)
    assert await sums(store, starts, now + timedelta(days=4)) == [(2, 1, 10)]
    assert await sums(store, starts[:1], starts[1]) == []


@pytest.mark.parametrize("chunks", [1, 2, 3, 7, 1000, 10_000])
async def test_any_number_of_slices_adds_up(store, make, now, chunks):
    end = now + timedelta(microseconds=100_003)
    starts = slice_starts(now, end, chunks)
    random_ = random.Random(chunks)
    moments = [start + offset * MICROSECOND for start in random_.sample(starts, min(chunks, 50)) for offset in (-1, 0)]
    moments += [end - MICROSECOND, end]
    await add(store, *(make.usage(started_at=moment) for moment in moments))
    expected = {}
    for moment in moments:
        inside = [index for index, start in enumerate(starts) if start <= moment < end]
        if inside:
            expected[inside[-1]] = expected.get(inside[-1], 0) + 1
    assert await sums(store, starts, end) == [(index, n, 10 * n) for index, n in sorted(expected.items())]


async def test_slices_may_be_of_any_length_even_of_none(store, make, now):
    moments = [now + n * MICROSECOND for n in range(4)]
    await add(store, *(make.usage(started_at=moment, prompt_tokens=2**n) for n, moment in enumerate(moments)))
    starts = [moments[0], moments[1], moments[1], moments[3]]
    assert await sums(store, starts, moments[3] + MICROSECOND) == [(0, 1, 10), (2, 6, 20), (3, 8, 10)]


async def test_the_whole_of_time_is_one_slice(store, make, now):
    await add(store, make.usage(), make.usage(started_at=datetime(1970, 1, 1, tzinfo=UTC)))
    ever = [datetime(1970, 1, 1, tzinfo=UTC)], datetime(9999, 1, 1, tzinfo=UTC)
    assert await sums(store, *ever, model_name="model name") == [(0, 2, 20)]


async def test_sums_are_beyond_32_bits(store, make, now):
    await add(store, *(make.usage(prompt_tokens=2**31, response_tokens=2**40) for _ in range(4)))
    assert await sums(store, [now], now + MICROSECOND) == [(0, 2**33, 2**42)]


async def test_only_what_is_asked_for_counts(store, make, now, accounts):
    await add(
        store,
        make.usage(deployment_id="one", model_name="m", account_id=accounts[0], prompt_tokens=1),
        make.usage(deployment_id="one", model_name="m", account_id=accounts[1], prompt_tokens=2),
        make.usage(deployment_id="two", model_name="m", account_id=accounts[0], prompt_tokens=4),
        make.usage(deployment_id="two", model_name="n", account_id=accounts[2], prompt_tokens=8),
    )

    async def prompts(**which):
        return [prompt for _, prompt, _ in await sums(store, [now], now + MICROSECOND, **which)]

    assert await prompts() == [15]
    assert await prompts(deployment_id="one") == [3]
    assert await prompts(deployment_id="one", accounts=accounts[1:]) == [2]
    assert await prompts(model_name="m") == [7]
    assert await prompts(model_name="m", deployment_id="two") == [4]
    assert await prompts(accounts=accounts[:2]) == [7]
    assert await prompts(accounts=()) == []
    assert await prompts(model_name="M") == []


@pytest.mark.parametrize("which", [{"deployment_id": "3"}, {"model_name": "3"}])
@pytest.mark.parametrize("chunks", [1, 1000])
async def test_sums_walk_an_index(store, make, now, kind, which, chunks):
    async with store.begin() as tx:
        records = [
            make.usage(started_at=now + timedelta(seconds=n), deployment_id=str(n % 20), model_name=str(n % 20))
            for n in range(4000)
        ]
        await tx.usage.add(records)
        session, statements = tx.usage._session, []
        execute = session.execute

        async def watched(statement, parameters=None):
            statements.append(statement)
            return await execute(statement, parameters)

        session.execute = watched
        end = now + timedelta(seconds=4000)
        # Of the account that has them all: no other index could leave out as much.
        found = await tx.usage.sums(slice_starts(now, end, chunks), end, **which, accounts=[records[0].account_id])
        assert sum(prompt for _, prompt, _ in found) == 200
        prefix = "EXPLAIN QUERY PLAN" if kind == "sqlite" else "EXPLAIN"
        if kind == "postgresql":
            await session.connection.exec_driver_sql("ANALYZE usage")
        plans = []
        for statement in statements:
            compiled = statement.compile(session.connection.sync_connection, compile_kwargs={"literal_binds": True})
            rows = await session.connection.exec_driver_sql(f"{prefix} {compiled}")
            plans.append("\n".join(str(row[-1]) for row in rows))
    # hours, minutes, and the records before and after them; or records alone
    assert len(plans) == (3 if chunks == 1 else 1)
    by = "deployment" if "deployment_id" in which else "model"
    minutes = "USING PRIMARY KEY" if by == "deployment" else "ix_usage_minutes_model"
    # Of a model's records nothing leads to fewer than the time does; of an account's there may be all.
    records = "ix_usage_deployment" if by == "deployment" else "sqlite_autoindex_usage_1 (started_at>?"
    for plan in plans:
        # PostgreSQL sees that there are few hours and minutes yet, and that all records are wanted.
        assert "Seq Scan on usage " not in plan or chunks == 1000
        if kind == "sqlite":
            assert "SCAN usage" not in plan
            assert any(used in plan for used in (records, f"ix_usage_hours_{by}", minutes)), plan
