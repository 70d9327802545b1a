"""Limits hold for all gateways together, and what is reserved becomes what is spent, each call once."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from modelyard.control.limits.limiter import Limiter
from modelyard.domain.accounts import IdentityType
from modelyard.domain.limits import Kind, Limit, OnExceeded, OverLimit, Subject, Want, asks
from modelyard.domain.routes import RouteTable
from modelyard.domain.usage import Reservation
from modelyard.errors import Conflict, RateLimited
from modelyard.settings import LimitSettings
from modelyard.store.tables import limit_use
from modelyard.testing.clock import FakeClock
from modelyard.testing.usage import make_usage

HALF_PAST = datetime(2026, 6, 15, 12, 30, 30, tzinfo=UTC)


@dataclass
class NoRoutes:
    version: int = 1
    never: asyncio.Event = field(default_factory=asyncio.Event)

    def snapshot(self):
        return RouteTable()

    async def changed(self):
        await self.never.wait()


class RealTime(FakeClock):
    """The time stands still; sleeping does not."""

    async def sleep(self, seconds):
        await asyncio.sleep(min(seconds, 0.01))


@pytest.fixture
async def limiter_of():
    tasks = []

    def make(store, clock, gateway_id):
        limiter = Limiter(store, NoRoutes(), clock, LimitSettings(), gateway_id)
        tasks.append(asyncio.create_task(limiter.run()))
        return limiter

    yield make
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def limit(accounts):
    return Limit(
        id="limit",
        account_id=accounts[0],
        created_at=HALF_PAST,
        created_by_user_id="u",
        created_by_identity_type=IdentityType.USER,
        name="small",
        subject=Subject.KEY,
        subject_id="key",
        bounds={Kind.CALLS: 10},
    )


async def put(store, limit):
    async with store.begin() as tx:
        await tx.limits.add(limit)


async def ends(store, limiter, admitted, **used):
    """The call is over, and its usage written."""
    record = make_usage(reserved=admitted.reserved, gateway_id=limiter.gateway_id, started_at=HALF_PAST, **used)
    async with store.begin() as tx:
        await tx.usage.add([record])
        await tx.usage.add([record])  # which may happen twice, and counts once


async def outcomes(calls):
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert all(not isinstance(each, BaseException) or isinstance(each, RateLimited) for each in done), done
    return sum(not isinstance(each, BaseException) for each in done)


@pytest.mark.parametrize(
    ("bounds", "want", "let_through"),
    [
        ({Kind.CALLS: 50}, Want(), 50),
        ({Kind.TOKENS: 1000}, Want(30), 33),
        ({Kind.CONCURRENT: 7}, Want(), 7),
        ({Kind.DAY: 1_000_000_000}, Want(1, 10_000_000), 100),
        ({Kind.MONTH: 999_999_999}, Want(1, 10_000_000), 99),
        ({Kind.CALLS: 90, Kind.TOKENS: 100}, Want(2), 50),
        ({Kind.CALLS: 0}, Want(), 0),
    ],
)
async def test_200_callers_of_two_gateways_never_go_over(store, other, limiter_of, limit, bounds, want, let_through):
    limit = replace(limit, bounds=bounds)
    await put(store, limit)
    clock = RealTime(HALF_PAST)
    gateways = [limiter_of(store, clock, "one"), limiter_of(other, clock, "two")]
    passed = await outcomes(gateways[number % 2].admit((limit,), want, 0) for number in range(200))
    assert passed == let_through


async def test_transactions_at_the_same_moment_decide_one_after_the_other(store, other, limit):
    """Those of gateways that each have one call to decide about; a limiter's are few, each of many calls."""
    await put(store, limit)

    async def one(number):
        async with (store, other)[number % 2].begin() as tx:
            [verdict] = await tx.limits.reserve([asks((limit,), Want(), HALF_PAST)], f"gateway {number % 2}")
        return verdict.exceeded is None

    assert sum(await asyncio.gather(*map(one, range(40)))) == 10


async def test_what_a_call_really_used_takes_the_place_of_what_it_might(store, limiter_of, limit):
    limit = replace(limit, bounds={Kind.TOKENS: 100, Kind.CONCURRENT: 1})
    await put(store, limit)
    limiter = limiter_of(store, FakeClock(HALF_PAST), "one")
    first = await limiter.admit((limit,), Want(90), 0)
    with pytest.raises(OverLimit) as caught:
        await limiter.admit((limit,), Want(20), 0)
    assert caught.value.code == "limit_exceeded"
    assert [(left.ask.kind, left.amount) for left in caught.value.left] == [(Kind.TOKENS, 10), (Kind.CONCURRENT, 0)]
    assert caught.value.retry_after == 30
    assert "'small' of 100 tokens per minute" in str(caught.value)
    await ends(store, limiter, first, prompt_tokens=10, response_tokens=5)
    second = await limiter.admit((limit,), Want(85), 0)
    assert [(left.ask.kind, left.amount) for left in second.left] == [(Kind.TOKENS, 0), (Kind.CONCURRENT, 0)]


async def test_the_next_minute_begins_anew_and_the_month_goes_on(store, limiter_of, limit):
    limit = replace(limit, bounds={Kind.CALLS: 1, Kind.MONTH: 50})
    await put(store, limit)
    clock = FakeClock(HALF_PAST)
    limiter = limiter_of(store, clock, "one")
    await ends(store, limiter, await limiter.admit((limit,), Want(1, 40), 0), vendor="OPENAI", cost_nano=40)
    with pytest.raises(RateLimited) as caught:
        await limiter.admit((limit,), Want(1, 1), 0)
    assert caught.value.code == "limit_exceeded"
    await clock.advance(31)
    with pytest.raises(RateLimited) as caught:
        await limiter.admit((limit,), Want(1, 11), 0)
    assert caught.value.code == "budget_exceeded"
    assert "2026-07-01T00:00:00Z" in str(caught.value)
    await limiter.admit((limit,), Want(1, 10), 0)


@pytest.mark.parametrize("subject", Subject)
async def test_a_new_budget_knows_what_was_spent_before_it(store, limiter_of, limit, accounts, subject):
    spent = {"account_id": accounts[0], "key_id": "key", "identity_id": "identity", "model_id": "model"}
    column = f"{subject}_id"
    async with store.begin() as tx:
        await tx.usage.add(
            [
                make_usage(started_at=HALF_PAST - timedelta(hours=1), cost_nano=60, vendor="OPENAI", **spent),
                make_usage(started_at=HALF_PAST - timedelta(days=1), cost_nano=1000, vendor="OPENAI", **spent),
                make_usage(started_at=HALF_PAST, cost_nano=1000, vendor="OPENAI", **{**spent, column: "another"}),
                make_usage(started_at=HALF_PAST, cost_nano=1000, vendor="OPENAI", **{**spent, "account_id": "another"}),
            ]
        )
    limit = replace(limit, bounds={Kind.DAY: 100}, subject=subject, subject_id=spent[column])
    await put(store, limit)
    limiter = limiter_of(store, FakeClock(HALF_PAST), "one")
    with pytest.raises(RateLimited):
        await limiter.admit((limit,), Want(1, 41), 0)
    (left,) = (await limiter.admit((limit,), Want(1, 40), 0)).left
    assert left.amount == 0


async def test_money_that_nobody_can_count_is_not_spent(store, limiter_of, limit):
    limit = replace(limit, bounds={Kind.DAY: 100})
    await put(store, limit)
    limiter = limiter_of(store, FakeClock(HALF_PAST), "one")
    with pytest.raises(Conflict) as caught:
        await limiter.admit((limit,), Want(1, None), 0)
    assert caught.value.code == "price_unknown"
    assert (await limiter.admit((limit,), Want(1, 0), 0)).reserved  # own workers cost no money by the token


async def test_what_a_killed_gateway_had_reserved_is_given_up(store, limiter_of, limit):
    limit = replace(limit, bounds={Kind.CONCURRENT: 1})
    await put(store, limit)
    clock = FakeClock(HALF_PAST)
    killed, lives = limiter_of(store, clock, "killed"), limiter_of(store, clock, "lives")
    await killed.admit((limit,), Want(), 0)
    with pytest.raises(RateLimited):
        await lives.admit((limit,), Want(), 0)
    async with store.begin() as tx:
        await tx.limits.give_up_lost(["lives"])
    admitted = await lives.admit((limit,), Want(), 0)
    await ends(store, lives, admitted)
    assert await lives.admit((limit,), Want(), 0)


async def test_a_caller_that_leaves_while_it_is_decided_keeps_nothing(store, limiter_of, limit):
    limit = replace(limit, bounds={Kind.CONCURRENT: 1})
    await put(store, limit)
    limiter = limiter_of(store, RealTime(HALF_PAST), "one")
    for pauses in range(12):
        call = asyncio.create_task(limiter.admit((limit,), Want(), 0))
        for _ in range(pauses):
            await asyncio.sleep(0.0005)
        if call.done():
            await ends(store, limiter, call.result())
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        if not call.cancelled():
            continue

    async def free():
        try:
            await ends(store, limiter, await limiter.admit((limit,), Want(), 0))
        except RateLimited:
            return False
        return True

    for _ in range(100):
        if await free():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("a place is gone for good")


async def test_waiting_calls_go_by_priority_and_nobody_overtakes_them(store, limiter_of, limit):
    low = replace(limit, bounds={Kind.CONCURRENT: 1}, on_exceeded=OnExceeded.QUEUE)
    high = replace(low, priority=5)
    await put(store, low)
    limiter = limiter_of(store, RealTime(HALF_PAST), "one")
    holder = await limiter.admit((low,), Want(), 0)
    order = []

    async def call(which, name):
        admitted = await limiter.admit((which,), Want(), 1e9)
        order.append(name)
        if len(order) == 1:
            late = asyncio.create_task(call(low, "late"))
            calls.append(late)
            await asyncio.sleep(0)  # it asks before the place is free
        await ends(store, limiter, admitted)

    calls = [asyncio.create_task(call(*each)) for each in ((low, "low 1"), (low, "low 2"), (high, "high"))]
    while len(limiter._queue) < 3:
        await asyncio.sleep(0.01)
    assert not order
    await ends(store, limiter, holder)
    while len(order) < 4:
        await asyncio.sleep(0.01)
    await asyncio.gather(*calls)
    assert order == ["high", "low 1", "low 2", "late"]


async def test_a_gateway_that_seemed_lost_gives_nothing_back_that_others_hold(store, limiter_of, limit):
    limit = replace(limit, bounds={Kind.CONCURRENT: 2})
    await put(store, limit)
    limiter = limiter_of(store, FakeClock(HALF_PAST), "paused")
    before = [await limiter.admit((limit,), Want(), 0) for _ in range(2)]
    async with store.begin() as tx:
        await tx.limits.give_up_lost(["another"])
    await limiter.admit((limit,), Want(), 0)
    for admitted in before:
        await ends(store, limiter, admitted)
    assert await outcomes([limiter.admit((limit,), Want(), 0) for _ in range(4)]) == 2


async def test_what_an_abandoned_call_held_is_not_given_back_twice(store, limiter_of, limit):
    limit = replace(limit, bounds={Kind.CONCURRENT: 1})
    await put(store, limit)
    async with store.begin() as tx:
        await tx.limits.give_back({("limit", "concurrent_calls", datetime(1970, 1, 1, tzinfo=UTC), "one"): 1})
    limiter = limiter_of(store, FakeClock(HALF_PAST), "one")
    assert await outcomes([limiter.admit((limit,), Want(), 0) for _ in range(3)]) == 1


async def test_a_changed_limit_counts_at_once_also_where_nobody_has_heard_of_it(store, limiter_of, limit):
    await put(store, limit)
    limiter = limiter_of(store, FakeClock(HALF_PAST), "one")
    heard = await limiter.admit((limit,), Want(), 0)
    async with store.begin() as tx:
        await tx.limits.replace(replace(limit, bounds={Kind.CALLS: 2}))
    assert await outcomes([limiter.admit((limit,), Want(), 0) for _ in range(3)]) == 1
    async with store.begin() as tx:
        await tx.limits.delete(limit.id)
    gone = await limiter.admit((limit,), Want(), 0)
    assert gone.reserved == ()
    await ends(store, limiter, heard)  # nor is anything counted for it any more
    async with store.read() as tx:
        assert (await tx.limits._session.execute(select(limit_use))).all() == []


async def test_what_was_only_estimated_counts_no_more_than_the_worst_case(store, limiter_of, limit):
    limit = replace(limit, bounds={Kind.TOKENS: 100})
    await put(store, limit)
    limiter = limiter_of(store, FakeClock(HALF_PAST), "one")
    admitted = await limiter.admit((limit,), Want(60), 0)
    await ends(store, limiter, admitted, prompt_tokens=10, response_tokens=80, estimated=True)
    (left,) = (await limiter.admit((limit,), Want(40), 0)).left
    assert left.amount == 0


async def test_a_budget_whose_first_call_was_let_through_unchecked_knows_of_all_spent(
    store, limiter_of, limit, accounts
):
    limit = replace(limit, bounds={Kind.DAY: 100})
    await put(store, limit)
    spent = {"account_id": accounts[0], "key_id": "key", "vendor": "OPENAI", "cost_nano": 30, "started_at": HALF_PAST}
    limiter = limiter_of(store, FakeClock(HALF_PAST), "one")
    unchecked = Reservation("limit", "dollars_per_day", HALF_PAST.replace(hour=0, minute=0, second=0), 0)
    async with store.begin() as tx:  # the database was away when the second of them was asked about
        await tx.usage.add([make_usage(**spent)])
        await tx.usage.add([make_usage(**spent, reserved=(unchecked,), gateway_id="one")])
    (left,) = (await limiter.admit((limit,), Want(1, 40), 0)).left
    assert left.amount == 0


async def test_more_than_a_bound_ever_allows_is_not_waited_for(store, limiter_of, limit):
    limit = replace(limit, bounds={Kind.TOKENS: 10}, on_exceeded=OnExceeded.QUEUE)
    await put(store, limit)
    with pytest.raises(RateLimited) as caught:
        await limiter_of(store, FakeClock(HALF_PAST), "one").admit((limit,), Want(11), 1e9)
    assert "max_tokens" in str(caught.value)
