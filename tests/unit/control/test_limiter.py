"""What the limiter does while the database is away, how long calls wait, what it drops, and how it hears of changes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import select

from modelyard.control.limits.limiter import Limiter
from modelyard.control.people.bootstrap import ACCOUNT_ID
from modelyard.control.routes import Routes
from modelyard.domain.accounts import Account, IdentityType
from modelyard.domain.limits import Kind, Limit, OnExceeded, OverLimit, Subject, Want, window_of
from modelyard.errors import Unavailable
from modelyard.settings import LimitSettings
from modelyard.store import Store
from modelyard.store.tables import limit_use
from modelyard.testing.clock import START, FakeClock
from modelyard.testing.usage import make_usage

GUARD = 60
"""Seconds; nothing here takes as long unless it is broken."""


class OneChange:
    """A `Routes` that changes once, when it is told to."""

    def __init__(self) -> None:
        self.happens = asyncio.Event()

    async def changed(self) -> None:
        await self.happens.wait()
        self.happens.clear()


class Away:
    """A store that nobody reaches, or that is broken in a way that nobody foresaw."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def begin(self) -> None:
        raise self.error


Make = Callable[..., Limiter]


LIMIT = Limit(
    id="limit",
    account_id=ACCOUNT_ID,
    created_at=START,
    created_by_user_id="u",
    created_by_identity_type=IdentityType.USER,
    name="small",
    subject=Subject.KEY,
    subject_id="key",
    bounds={Kind.CONCURRENT: 1},
    on_exceeded=OnExceeded.QUEUE,
)


@pytest.fixture
async def make(clock: FakeClock) -> AsyncIterator[Make]:
    tasks = []

    def started(on: Any, gateway_id: str = "one", **settings: Any) -> Limiter:
        limiter = Limiter(on, cast("Routes", OneChange()), clock, LimitSettings(**settings), gateway_id)
        tasks.append(asyncio.create_task(limiter.run()))
        return limiter

    yield started
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def limit(store: Store) -> Limit:
    async with store.begin() as tx:
        await tx.accounts.add_account(Account(ACCOUNT_ID, "one", START))
        await tx.limits.add(LIMIT)
    return LIMIT


async def change(store: Store, limit: Limit, **fields: Any) -> Limit:
    changed = replace(limit, **fields)
    async with store.begin() as tx:
        await tx.limits.replace(changed)
    return changed


async def passes(call: "asyncio.Task[Any]", clock: FakeClock, seconds: float) -> None:
    """Let time pass, until the call is decided or so many seconds are over."""
    end = clock.monotonic() + seconds
    async with asyncio.timeout(GUARD):
        while not call.done() and clock.monotonic() < end:
            await asyncio.sleep(0.01)
            await clock.advance(0.5)


@pytest.mark.parametrize("error", [Unavailable("gone"), ValueError("nobody foresaw this")])
async def test_while_the_database_is_away_calls_go_on_and_are_counted_afterwards(make: Make, error: Exception) -> None:
    admitted = await make(Away(error)).admit((LIMIT,), Want(), 0)
    assert [(each.limit_id, each.kind, each.amount) for each in admitted.reserved] == [("limit", "concurrent_calls", 0)]
    assert (admitted.gateway_id, admitted.left) == ("one", ())


async def test_or_they_are_refused_where_the_settings_say_so(make: Make) -> None:
    limiter = make(Away(Unavailable("gone")), when_database_is_away="refuse")
    with pytest.raises(Unavailable):
        await limiter.admit((LIMIT,), Want(), 0)


async def test_nobody_waits_longer_than_it_may(make: Make, store: Store, limit: Limit, clock: FakeClock) -> None:
    limiter = make(store)
    await limiter.admit((limit,), Want(), 0)
    with pytest.raises(OverLimit):
        await limiter.admit((limit,), Want(), 0)
    call = asyncio.create_task(limiter.admit((limit,), Want(), 20))
    await passes(call, clock, 10)
    assert not call.done()
    await passes(call, clock, 1e9)
    with pytest.raises(OverLimit):
        await call


async def test_a_limit_is_hard_however_long_its_caller_would_wait(make: Make, store: Store, limit: Limit) -> None:
    limit = await change(store, limit, on_exceeded=OnExceeded.REJECT)
    limiter = make(store)
    await limiter.admit((limit,), Want(), 1e9)
    async with asyncio.timeout(GUARD):
        with pytest.raises(OverLimit):
            await limiter.admit((limit,), Want(), 1e9)


async def test_money_does_not_come_back_by_waiting(make: Make, store: Store, limit: Limit) -> None:
    limit = await change(store, limit, bounds={Kind.DAY: 10})
    limiter = make(store)
    await limiter.admit((limit,), Want(1, 10), 0)
    async with asyncio.timeout(GUARD):
        with pytest.raises(OverLimit) as caught:
            await limiter.admit((limit,), Want(1, 1), 1e9)
    assert caught.value.code == "budget_exceeded"


async def test_a_call_under_several_limits_has_the_highest_priority_of_theirs(
    make: Make, store: Store, limit: Limit, clock: FakeClock
) -> None:
    urgent = replace(limit, id="urgent", name="urgent", priority=9, bounds={Kind.CALLS: 100})
    async with store.begin() as tx:
        await tx.limits.add(urgent)
    limiter = make(store)
    held = await limiter.admit((limit,), Want(), 0)
    order: list[str] = []

    async def call(name: str, *limits: Limit) -> None:
        await limiter.admit(limits, Want(), 1e9)
        order.append(name)

    calls = [asyncio.create_task(call("later", limit)), asyncio.create_task(call("first", limit, urgent))]
    async with asyncio.timeout(GUARD):
        while len(limiter._queue) < 2:
            await asyncio.sleep(0.01)
    async with store.begin() as tx:
        await tx.usage.add([make_usage(reserved=held.reserved, gateway_id="one")])
    await passes(calls[1], clock, 1e9)
    assert order == ["first"]
    calls[0].cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_a_caller_that_leaves_in_the_moment_of_its_admission_keeps_nothing(
    make: Make, store: Store, limit: Limit, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = make(store)
    decide = limiter._decide

    async def decide_and_leave(asking: Any) -> None:
        await decide(asking)
        call.cancel()

    monkeypatch.setattr(limiter, "_decide", decide_and_leave)
    call = asyncio.create_task(limiter.admit((limit,), Want(), 0))
    await asyncio.gather(call, return_exceptions=True)
    monkeypatch.setattr(limiter, "_decide", decide)
    async with asyncio.timeout(GUARD):
        while True:
            with suppress(OverLimit):
                assert (await limiter.admit((limit,), Want(), 0)).reserved
                return
            await asyncio.sleep(0.01)


async def test_refusals_are_counted_by_their_bound(make: Make, store: Store, limit: Limit) -> None:
    def counted(bound: Kind) -> float:
        return REGISTRY.get_sample_value("modelyard_limits_refused_total", {"bound": bound.value}) or 0

    limiter = make(store)
    for bound in Kind:
        await change(store, limit, bounds={bound: 0})
        before = counted(bound)
        with pytest.raises(OverLimit):
            await limiter.admit((replace(limit, bounds={bound: 0}),), Want(1, 1), 0)
        assert counted(bound) == before + 1


async def used(store: Store) -> set[tuple[str, str, datetime]]:
    async with store.read() as tx:
        rows = await tx.limits._session.execute(select(limit_use.c.gateway_id, limit_use.c.kind, limit_use.c.window))
        return {tuple(row) for row in rows}


async def test_what_lost_gateways_held_and_windows_that_are_over_are_dropped(
    make: Make, store: Store, limit: Limit, clock: FakeClock
) -> None:
    limit = await change(store, limit, bounds=dict.fromkeys((Kind.CONCURRENT, Kind.CALLS, Kind.MONTH), 100))
    lost, lives = make(store, "lost"), make(store)
    await lost.admit((limit,), Want(), 0)
    await lives.admit((limit,), Want(), 0)
    before = clock.now()
    housekeeping = asyncio.create_task(lives.housekeep())
    month = window_of(Kind.MONTH, before)
    left = {("one", kind.value, window_of(kind, before)) for kind in limit.bounds} | {("", Kind.MONTH.value, month)}
    async with asyncio.timeout(GUARD):
        while await used(store) != left:
            await asyncio.sleep(0.01)
        for days, gone in ((2, {Kind.CALLS}), (90, {Kind.CALLS, Kind.MONTH})):
            await clock.advance(timedelta(days=days).total_seconds())
            kept = {each for each in left if each[1] not in gone}
            while await used(store) != kept:
                await clock.advance(3600)
                await asyncio.sleep(0.01)
    housekeeping.cancel()
    await asyncio.gather(housekeeping, return_exceptions=True)


async def test_a_limit_is_heard_of_when_it_is_made_changed_or_deleted(
    store: Store, limit: Limit, clock: FakeClock
) -> None:
    routes = OneChange()
    limiter = Limiter(store, cast("Routes", routes), clock, LimitSettings(), "one")
    following = asyncio.create_task(limiter.follow())

    async def known(*limits: Limit) -> None:
        async with asyncio.timeout(GUARD):
            while limiter.limits_of(ACCOUNT_ID, "key", "identity", "model") != limits:
                await asyncio.sleep(0.01)

    async def version() -> int:
        return (await store.pulse()).routes_version

    await known(limit)
    before = await version()
    changed = await change(store, limit, priority=3)
    assert await version() > before
    routes.happens.set()
    await known(changed)
    before = await version()
    async with store.begin() as tx:
        await tx.limits.delete(limit.id)
    assert await version() > before
    routes.happens.set()
    await known()
    before = await version()
    async with store.begin() as tx:
        await tx.limits.add(limit)
    assert await version() > before
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
