"""The call log on both databases: filters, pages, indexes, and the end of what is old."""

from datetime import timedelta

import pytest
from sqlalchemy import event, text

from modelyard.domain.call_logs import BY_COLUMN, log_id, parsed_log_id
from modelyard.domain.intervals import to_microseconds
from modelyard.domain.usage import Outcome, Verb
from modelyard.errors import NotFound
from modelyard.store.call_logs import CallQuery
from modelyard.testing.usage import make_usage


@pytest.fixture
async def calls(store, now):
    """Five calls of account a, a second apart, the last one failed, and one of account b."""
    records = [
        make_usage(
            started_at=now + timedelta(seconds=number),
            account_id="a",
            key_id=f"key {number % 2}",
            request_id=f"request {number}",
            outcome=Outcome.ERROR if number == 4 else Outcome.OK,
            error_code="queue_full" if number == 4 else None,
            vendor="OPENAI" if number == 0 else None,
            verb=Verb.RERANKING if number == 1 else Verb.EMBEDDING,
        )
        for number in range(5)
    ]
    other = make_usage(started_at=now, account_id="b")
    async with store.begin() as tx:
        await tx.usage.add([*records, other])
    return records


async def found(store, calls, **query):
    async with store.read() as tx:
        page = await tx.call_logs.page(CallQuery(**{"accounts": ["a"], **query}))
    return [calls.index(record) for record in page.items], page.total


async def test_newest_first_in_pages_of_the_accounts_alone(store, calls):
    assert await found(store, calls) == ([4, 3, 2, 1, 0], 5)
    assert await found(store, calls, limit=2, page=2) == ([2, 1], 5)
    assert await found(store, calls, limit=2, page=4) == ([], 5)
    assert await found(store, calls, oldest_first=True, limit=1) == ([0], 5)
    assert await found(store, calls, accounts=["nobody", "a"]) == ([4, 3, 2, 1, 0], 5)
    assert await found(store, calls, accounts=["nobody"]) == ([], 0)


async def test_filters(store, calls, now):
    assert await found(store, calls, where={"key_id": "key 1"}) == ([3, 1], 2)
    assert await found(store, calls, where={"error_code": "queue_full", "outcome": "error"}) == ([4], 1)
    assert await found(store, calls, where={"vendor": "OPENAI"}) == ([0], 1)
    assert await found(store, calls, where={"vendor": ""}) == ([], 0), "of no vendor says a record by having none"
    assert await found(store, calls, where={"verb": "reranking"}) == ([1], 1)
    assert await found(store, calls, where={"request_id": "request 2"}) == ([2], 1)
    seconds = [now + timedelta(seconds=number) for number in range(5)]
    assert await found(store, calls, since=seconds[1], until=seconds[3]) == ([2, 1], 2)
    for name in BY_COLUMN:
        assert (await found(store, calls, where={name: "nothing"}))[1] == 0


async def test_one_call_by_its_id(store, calls):
    log = log_id(to_microseconds(calls[3].started_at), calls[3].id)
    async with store.read() as tx:
        assert await tx.call_logs.get(log, ["a"]) == calls[3]
        for wrong, accounts in ((log, ["b"]), (log[:-1], ["a"]), ("f" * 46, ["a"]), ("nonsense", ["a"]), ("", ["a"])):
            with pytest.raises(NotFound) as caught:
                await tx.call_logs.get(wrong, accounts)
            assert caught.value.code == "call_not_found"


def test_ids_sort_by_time_and_come_back():
    assert parsed_log_id(log_id(1_767_225_600_000_000, "abc")) == (1_767_225_600_000_000, "abc")
    assert log_id(999, "f") < log_id(1000, "0")
    assert parsed_log_id("0000000000000-x") is None


async def test_what_is_old_ends_a_batch_at_a_time_and_hours_stay(store, calls, now):
    before = now + timedelta(seconds=3)
    async with store.begin() as tx:
        assert await tx.call_logs.forget_before(before, 2) == 2
        assert await tx.call_logs.forget_before(before, 100) == 2
        assert await tx.call_logs.forget_before(before, 100) == 0
    assert await found(store, calls) == ([4, 3], 2)
    async with store.read() as tx:
        hours = await tx.usage.sums([now - timedelta(hours=1)], now + timedelta(hours=2), accounts=["a"])
    assert [prompt for _, prompt, _ in hours] == [5]


async def counted(store, **query):
    async with store.read() as tx:
        return (await tx.call_logs.page(CallQuery(**{"accounts": ["a"], **query}))).total


async def test_counts_are_of_what_is_still_there(store, now):
    """Sums know more than that, and a record may come late, after others of its time have ended."""
    hours = [now + timedelta(hours=hour, minutes=17) for hour in (0, 1, 2, 23, 24, 26, 50, 51)]
    records = [make_usage(started_at=at, account_id="a", key_id=f"key {n % 2}") for n, at in enumerate(hours)]
    async with store.begin() as tx:
        await tx.usage.add(records)
    for moment in [now, *hours, now + timedelta(days=9)]:
        later = sum(at >= moment for at in hours)
        assert await counted(store, since=moment) == later
        assert await counted(store, until=moment) == len(hours) - later
    async with store.begin() as tx:
        assert await tx.call_logs.forget_before(hours[4], 1) == 1
    assert await counted(store) == 7
    async with store.begin() as tx:
        assert await tx.call_logs.forget_before(now, 1) == 0  # from now on they are to be kept longer
    assert await counted(store) == 7
    async with store.begin() as tx:
        assert await tx.call_logs.forget_before(hours[4], 100) == 3
        await tx.usage.add([make_usage(started_at=hours[1], account_id="a", key_id="key 0")])
    assert await counted(store) == 5
    assert await counted(store, where={"key_id": "key 0"}) == 3
    assert await counted(store, until=hours[4]) == 1
    assert await counted(store, since=hours[4]) == 4


@pytest.mark.parametrize("where", [{}, {"key_id": "key 1"}, {"outcome": "error", "verb": "embedding"}])
async def test_nothing_is_counted_one_by_one_that_is_added_up(store, calls, where):
    asked = []
    event.listen(store._engine.sync_engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    assert await counted(store, where=where) > 0
    assert any("FROM usage_days" in statement for statement in asked)
    # The calls began at midnight: no part of an hour is left over.
    assert not any("count(" in statement for statement in asked)


@pytest.mark.parametrize(
    ("where", "index"),
    [
        ({}, "ix_usage_account"),
        ({"request_id": "request 2"}, "ix_usage_request"),
        ({"error_code": "queue_full"}, "ix_usage_error"),
    ],
)
async def test_the_indexes_are_used(store, now, kind, where, index):
    many = [
        make_usage(
            started_at=now + timedelta(seconds=number),
            account_id="a" if number % 2 else "b",
            key_id=f"key {number % 100}",
            request_id=f"request {number}",
            deployment_id=f"deployment {number % 100}",
            model_name=f"model {number % 100}",
        )
        for number in range(3000)
    ]
    async with store.begin() as tx:
        await tx.usage.add(many)
    asked = []
    event.listen(store._engine.sync_engine, "before_cursor_execute", lambda *given: asked.append(given[2:4]))
    async with store.read() as tx:
        await tx.call_logs.page(CallQuery(["a"], limit=3, where=where))
    statement, parameters = asked[-1] if asked[-1][0].startswith("SELECT") else asked[-2]
    async with store._engine.begin() as connection:
        if kind == "postgresql":
            await connection.execute(text("ANALYZE usage"))
        explain = "EXPLAIN" if kind == "postgresql" else "EXPLAIN QUERY PLAN"
        plan = "\n".join(
            str(tuple(row)) for row in await connection.exec_driver_sql(f"{explain} {statement}", parameters)
        )
    if kind == "postgresql":
        # Which of them is the cheapest is for its planner to say.
        assert "Index" in plan, plan
        assert "Seq Scan" not in plan, plan
        assert "Sort" not in plan or where, plan
    else:
        assert index in plan, plan
