"""Keys take turns, and rest when they are limited or fail."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from modelyard.domain.models import ModelVendor
from modelyard.domain.vendor_rests import HearsOfRests, Rest, RestKey
from modelyard.domain.vendors import VendorKey, VendorTarget
from modelyard.errors import RateLimited, Unavailable
from modelyard.gateway.vendors.rota import Rota
from modelyard.testing.clock import FakeClock

A, B = (VendorKey(name, ModelVendor.OPENAI, "https://x", {"api_key": name}) for name in "ab")
TARGET = VendorTarget(ModelVendor.OPENAI, "gpt", "https://x")


class Told:
    """Keeps what other gateways would be told."""

    def __init__(self) -> None:
        self.began_: list[Rest] = []
        self.ended_: list[RestKey] = []

    def tell(self, rota: HearsOfRests) -> None:
        self.rota = rota

    def began(self, rest: Rest) -> None:
        self.began_.append(rest)

    def ended(self, key: RestKey) -> None:
        self.ended_.append(key)


class Turns:
    """A rota, asked about one model where nothing else is said."""

    def __init__(self) -> None:
        self.clock, self.told = FakeClock(), Told()
        self.rota = Rota(self.clock, self.told)

    def next(self, keys: Sequence[VendorKey], target: VendorTarget = TARGET, **more: Any) -> VendorKey:
        return self.rota.next(keys, target, **more)

    def failed(
        self, key: VendorKey, target: VendorTarget = TARGET, asked: float | None = None, *, limited: bool, **more: Any
    ) -> None:
        self.rota.failed(key, target, self.now if asked is None else asked, limited=limited, **more)

    def well(self, key: VendorKey, target: VendorTarget = TARGET, asked: float | None = None) -> None:
        self.rota.well(key, target, self.now if asked is None else asked)

    def awake(self, keys: Sequence[VendorKey], target: VendorTarget = TARGET) -> bool:
        return self.rota.awake(keys, target)

    @property
    def now(self) -> float:
        return self.clock.monotonic()


@pytest.fixture
def turns() -> Turns:
    return Turns()


def test_they_take_turns(turns: Turns) -> None:
    assert [turns.next([A, B]).id for _ in range(4)] == ["a", "b", "a", "b"]


async def test_a_limited_one_rests_and_each_time_longer(turns: Turns) -> None:
    for rest in (5, 10, 20):
        turns.failed(A, limited=True)
        assert {turns.next([A, B]).id for _ in range(3)} == {"b"}
        with pytest.raises(RateLimited) as told:
            turns.next([A])
        assert told.value.retry_after == pytest.approx(rest)
        await turns.clock.advance(rest - 0.1)
        assert not turns.awake([A])
        await turns.clock.advance(0.2)
        assert turns.next([A]) is A


async def test_the_vendors_own_word_counts_where_it_is_longer(turns: Turns) -> None:
    turns.failed(A, limited=True, retry_after=30)
    await turns.clock.advance(29)
    assert not turns.awake([A])
    await turns.clock.advance(2)
    assert turns.awake([A])
    turns.failed(B, limited=True, retry_after=1)
    await turns.clock.advance(4)
    assert not turns.awake([B])


def test_other_failures_are_forgiven_twice(turns: Turns) -> None:
    for _ in range(2):
        turns.failed(A, limited=False)
        assert turns.next([A]) is A
    turns.failed(A, limited=False)
    with pytest.raises(Unavailable) as told:
        turns.next([A])
    assert told.value.code == "vendor_resting"
    assert turns.next([A], insist=True) is A


def test_an_answer_makes_good(turns: Turns) -> None:
    for _ in range(5):
        turns.failed(A, limited=False)
    turns.well(A)
    assert turns.next([A]) is A
    turns.failed(A, limited=False)
    assert turns.awake([A])


def test_of_those_that_rest_the_first_to_end_is_insisted_on(turns: Turns) -> None:
    turns.failed(A, limited=True, retry_after=60)
    turns.failed(B, limited=True)
    assert turns.next([A, B], insist=True) is B


def test_where_models_are_limited_a_key_rests_for_one_of_them(turns: Turns) -> None:
    other = replace(TARGET, model="gpt-mini")
    turns.failed(A, limited=True)
    assert not turns.awake([A])
    assert turns.next([A], other) is A
    turns.well(A, other)
    assert not turns.awake([A]), "an answer of another model says nothing"


def test_where_keys_are_limited_one_rests_for_all_models(turns: Turns) -> None:
    key = replace(A, vendor=ModelVendor.FIREWORKS_AI)
    one, other = (VendorTarget(ModelVendor.FIREWORKS_AI, model, "https://x") for model in ("one", "other"))
    turns.failed(key, one, limited=True)
    assert not turns.awake([key], other)
    turns.well(key, other)
    assert turns.awake([key], one)


async def test_what_was_asked_before_a_rest_says_nothing_about_it(turns: Turns) -> None:
    asked = turns.now
    await turns.clock.advance(1)
    turns.failed(A, asked=asked, limited=True)
    # The others of a hundred calls at once.
    for _ in range(50):
        turns.failed(A, asked=asked, limited=True)
        turns.well(A, asked=asked)
    with pytest.raises(RateLimited) as told:
        turns.next([A])
    assert told.value.retry_after == pytest.approx(5)
    assert (len(turns.told.began_), turns.told.ended_) == (1, [])
    turns.well(A)
    assert turns.awake([A])


async def test_others_are_told_of_its_beginning_and_of_its_end_and_of_nothing_else(turns: Turns) -> None:
    turns.well(A)
    turns.failed(A, limited=False)
    turns.well(A)
    assert (turns.told.began_, turns.told.ended_) == ([], [])
    turns.failed(A, limited=True, retry_after=7)
    assert turns.told.began_ == [Rest("a", "gpt", turns.clock.now(), 7.0, 1, True)]
    await turns.clock.advance(8)
    for _ in range(3):
        turns.well(A)
    assert (len(turns.told.began_), turns.told.ended_) == (1, [("a", "gpt")])


async def test_what_others_tell_counts_as_if_it_were_ones_own(turns: Turns) -> None:
    turns.told.rota.rests_elsewhere(Rest("a", "gpt", turns.clock.now(), 20.0, 3, True), 20.0)
    with pytest.raises(RateLimited) as told:
        turns.next([A])
    assert told.value.retry_after == pytest.approx(20)
    assert turns.next([A, B]) is B
    await turns.clock.advance(21)
    turns.failed(A, limited=True)
    assert turns.told.began_[0].seconds == 40, "it goes on growing"
    turns.told.rota.well_elsewhere(("a", "gpt"))
    assert turns.awake([A])
