"""Keys take turns, and rest when they are limited or fail."""

import pytest

from modelyard.domain.models import ModelVendor
from modelyard.domain.vendors import VendorKey
from modelyard.errors import RateLimited, Unavailable
from modelyard.gateway.vendors.rota import Rota
from modelyard.testing.clock import FakeClock

A, B = (VendorKey(name, ModelVendor.OPENAI, "https://x", {"api_key": name}) for name in "ab")


async def later(clock: FakeClock, seconds: float) -> None:
    await clock.advance(seconds)


def test_they_take_turns() -> None:
    rota = Rota(FakeClock())
    assert [rota.next([A, B]).id for _ in range(4)] == ["a", "b", "a", "b"]


async def test_a_limited_one_rests_and_each_time_longer() -> None:
    clock = FakeClock()
    rota = Rota(clock)
    for rest in (5, 10, 20):
        rota.failed(A, limited=True)
        assert {rota.next([A, B]).id for _ in range(3)} == {"b"}
        with pytest.raises(RateLimited) as told:
            rota.next([A])
        assert told.value.retry_after == pytest.approx(rest)
        await later(clock, rest - 0.1)
        assert not rota.awake([A])
        await later(clock, 0.2)
        assert rota.next([A]) is A


async def test_the_vendors_own_word_counts_where_it_is_longer() -> None:
    clock = FakeClock()
    rota = Rota(clock)
    rota.failed(A, limited=True, retry_after=30)
    await later(clock, 29)
    assert not rota.awake([A])
    await later(clock, 2)
    assert rota.awake([A])
    rota.failed(B, limited=True, retry_after=1)
    await later(clock, 4)
    assert not rota.awake([B])


def test_other_failures_are_forgiven_twice() -> None:
    rota = Rota(FakeClock())
    for _ in range(2):
        rota.failed(A, limited=False)
        assert rota.next([A]) is A
    rota.failed(A, limited=False)
    with pytest.raises(Unavailable) as told:
        rota.next([A])
    assert told.value.code == "vendor_resting"
    assert rota.next([A], insist=True) is A


def test_an_answer_makes_good() -> None:
    rota = Rota(FakeClock())
    for _ in range(5):
        rota.failed(A, limited=False)
    rota.well(A)
    assert rota.next([A]) is A
    rota.failed(A, limited=False)
    assert rota.awake([A])


def test_of_those_that_rest_the_first_to_end_is_insisted_on() -> None:
    rota = Rota(FakeClock())
    rota.failed(A, limited=True, retry_after=60)
    rota.failed(B, limited=True)
    assert rota.next([A, B], insist=True) is B
