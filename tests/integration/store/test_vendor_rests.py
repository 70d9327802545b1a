"""Rests of vendors' keys, shared by gateways through the store."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import pytest

from modelyard.control.vendors.rests import VendorRests
from modelyard.domain.models import ModelVendor
from modelyard.domain.vendor_rests import Rest
from modelyard.domain.vendors import VendorKey, VendorTarget
from modelyard.errors import RateLimited, Unavailable
from modelyard.gateway.vendors.rota import Rota
from modelyard.testing.clock import FakeClock

KEY = VendorKey("k", ModelVendor.OPENAI, "https://x", {"api_key": "k"})
TARGET = VendorTarget(ModelVendor.OPENAI, "gpt", "https://x")


@dataclass
class Gateway:
    store: object
    clock: FakeClock

    def __post_init__(self):
        self.rests = VendorRests(self.store, self.clock)
        self.rota = Rota(self.clock, self.rests)

    async def look(self):
        await self.rests.heed(await self.store.pulse())

    def limited(self, retry_after=None):
        self.rota.failed(KEY, TARGET, self.clock.monotonic(), limited=True, retry_after=retry_after)

    def well(self):
        self.rota.well(KEY, TARGET, self.clock.monotonic())

    def rests_for(self):
        try:
            self.rota.next([KEY], TARGET)
        except RateLimited as error:
            return pytest.approx(error.retry_after)
        return 0


@pytest.fixture
async def both(store, other):
    """Two on hosts whose clocks are an hour apart, both of which have looked once."""
    one, two = Gateway(store, FakeClock()), Gateway(other, FakeClock())
    await two.clock.advance(3600)
    await one.look()
    await two.look()
    return one, two


async def test_a_rest_holds_for_the_others_whatever_their_clocks_say(both):
    for early, late in (both, both[::-1]):
        early.limited(retry_after=30)
        await early.rests.write()
        await late.look()
        assert late.rests_for() == 30
        await late.clock.advance(31)
        assert late.rests_for() == 0
        late.well()
        await late.rests.write()
        assert early.rests_for() == 30
        await early.look()
        assert early.rests_for() == 0


async def test_it_is_no_news_to_whoever_wrote_it(both):
    one, _ = both
    one.limited(retry_after=30)
    await one.rests.write()
    await one.clock.advance(20)
    await one.look()
    assert one.rests_for() == 10


async def test_who_comes_later_hears_of_what_is_left(both, store):
    one, _ = both
    one.limited(retry_after=30)
    await one.rests.write()
    late = Gateway(store, one.clock)
    await one.clock.advance(10)
    await late.look()
    assert late.rests_for() == 20
    wrong = Gateway(store, FakeClock())  # an hour and more behind
    await wrong.look()
    assert 0 < wrong.rests_for().expected <= 30


async def test_old_ones_are_forgotten(both, store):
    one, _ = both
    one.limited()
    await one.rests.write()
    await one.clock.advance(7200)
    one.rota.failed(KEY, VendorTarget(ModelVendor.OPENAI, "other", "https://x"), one.clock.monotonic(), limited=True)
    await one.rests.write()
    async with store.read() as tx:
        assert list(await tx.vendor_rests.all()) == [("k", "other")]


async def test_what_could_not_be_told_is_told_later(both, monkeypatch):
    one, two = both

    def away():
        raise Unavailable("The database is away.")

    one.limited(retry_after=30)
    with monkeypatch.context() as patched:
        patched.setattr(one.store, "begin", away)
        with pytest.raises(Unavailable):
            await one.rests.write()
    await two.look()
    assert two.rests_for() == 0
    await one.rests.write()
    await two.look()
    assert two.rests_for() == 30


async def test_nothing_is_written_for_calls(both, store):
    one, _ = both
    one.well()
    one.rota.failed(KEY, TARGET, one.clock.monotonic(), limited=False)
    one.well()
    before = await store.pulse()
    writing = asyncio.create_task(one.rests.run())
    await asyncio.sleep(0)
    writing.cancel()
    assert await store.pulse() == before


def test_what_is_left_is_never_more_than_was_given():
    began = FakeClock().now()
    rest = Rest("k", "m", began, 30.0, 1, True)
    for passed, left in ((0, 30), (10, 20), (40, 0), (-3600, 30)):
        assert rest.left(began + timedelta(seconds=passed)) == left
