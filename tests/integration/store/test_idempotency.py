"""What creating calls made: found again, forgotten in time, and never two at once."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from modelyard.errors import Conflict
from modelyard.store import Replay

DAY = timedelta(days=1)


@pytest.fixture
def replay(now):
    return Replay("key", "fingerprint", "digest", "entity", now)


async def remember(store, replay):
    async with store.begin() as tx:
        await tx.idempotency.remember(replay)


async def find(store, replay, since):
    async with store.read() as tx:
        return await tx.idempotency.find(replay.key_id, replay.fingerprint, since)


async def test_a_call_is_found_by_its_key_and_fingerprint(store, replay, now):
    await remember(store, replay)
    assert await find(store, replay, now) == replay
    assert await find(store, replay, now + timedelta(microseconds=1)) is None
    assert await find(store, replace(replay, key_id="another"), now) is None
    assert await find(store, replace(replay, fingerprint="another"), now) is None


async def test_a_later_call_takes_the_place_of_an_earlier(store, replay, now):
    await remember(store, replay)
    later = replace(replay, entity_id="another", created_at=now + DAY)
    await remember(store, later)
    assert await find(store, replay, now) == later


@pytest.mark.parametrize("since", [timedelta(0), DAY])
async def test_what_was_found_may_be_replaced_whatever_its_age(store, replay, now, since):
    await remember(store, replay)
    again = replace(replay, entity_id="another")
    async with store.begin() as tx:
        await tx.idempotency.find(replay.key_id, replay.fingerprint, now + since)
        await tx.idempotency.remember(again)
    assert await find(store, replay, now) == again


async def test_a_call_that_was_overtaken_by_its_repetition_is_refused(store, replay, now):
    await remember(store, replace(replay, created_at=now + timedelta(seconds=60)))
    with pytest.raises(Conflict) as overtaken:
        await remember(store, replay)
    assert overtaken.value.code == "call_repeated"


async def test_old_calls_are_forgotten(store, replay, now):
    await remember(store, replay)
    young = replace(replay, fingerprint="young", created_at=now + DAY)
    await remember(store, young)
    async with store.begin() as tx:
        assert await tx.idempotency.forget_before(now + DAY) == 1
    assert await find(store, replay, now) is None
    assert await find(store, young, now) == young


async def test_the_same_call_at_the_same_time_makes_one_thing(store, other, make, replay):
    """A client that repeats its call while the first is still under way, for entities without names of their own."""
    here = asyncio.Barrier(2)

    async def call(which, entity):
        async with which.begin() as tx:
            if await tx.idempotency.find(replay.key_id, replay.fingerprint, replay.created_at) is not None:
                return "found"
            await tx.accounts.add_identity(entity)
            await tx.idempotency.remember(replace(replay, entity_id=entity.id))
            return "made"

    async def started(which, entity):
        await here.wait()
        try:
            return await call(which, entity)
        except Conflict as error:
            return error.code

    for _ in range(10):
        replay = replace(replay, fingerprint=replay.fingerprint + "x")
        entities = make.identity(), make.identity()
        results = await asyncio.gather(*map(started, (store, other), entities))
        assert sorted(results) in (["found", "made"], ["call_repeated", "made"])
