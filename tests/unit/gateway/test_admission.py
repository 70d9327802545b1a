"""What a call is admitted for: all that it asks, in however many parts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from modelyard.domain.accounts import IdentityType
from modelyard.domain.inference import ChatRequest, CompletionRequest, Message, NativeRequest
from modelyard.domain.limits import Admitted, Kind, Limit, Subject, Want
from modelyard.domain.models import ModelVendor
from modelyard.domain.routes import Route
from modelyard.domain.usage import Verb
from modelyard.domain.vendors import VendorTarget
from modelyard.gateway.admission import Admission, Price
from modelyard.gateway.metering import Call
from modelyard.gateway.worst_case import most_prompt_tokens
from modelyard.testing.clock import START, FakeClock
from modelyard.testing.gateway import ACCOUNT, FakeRoutes, UsageList, make_caller, make_route

ONE = ChatRequest(messages=[Message("user", "How are you?")], max_tokens=50)


LIMIT = Limit(
    id="limit",
    account_id=ACCOUNT,
    created_at=START,
    created_by_user_id="u",
    created_by_identity_type=IdentityType.USER,
    name="tokens",
    subject=Subject.ACCOUNT,
    subject_id=ACCOUNT,
    bounds={Kind.TOKENS: 1000},
)


ASSUMED = 256
FREE: Price = lambda *_: 0  # noqa: E731
VENDOR = VendorTarget(ModelVendor.OPENAI, "gpt", "https://vendor.example", max_output_tokens=99)


class Limiter:
    def __init__(self, limits: tuple[Limit, ...]) -> None:
        self.limits = limits
        self.wanted: list[Want] = []
        self.asked_for: list[tuple[str, ...]] = []
        self.waits: list[float] = []

    def limits_of(self, *ids: str) -> tuple[Limit, ...]:
        self.asked_for.append(ids)
        return self.limits

    async def admit(self, limits: Sequence[Limit], want: Want, max_wait: float) -> Admitted:
        self.wanted.append(want)
        self.waits.append(max_wait)
        return Admitted()


async def admitted(call: Call, *others: Route, limits: tuple[Limit, ...] = (LIMIT,), price: Price = FREE) -> Want:
    limiter = Limiter(limits)
    admission = Admission(limiter, FakeRoutes(call.route, *others), price, ASSUMED, 0)
    for _ in call.parts or (call.request,):
        await admission.admit(call)
    (want,) = limiter.wanted
    return want


def call_of(request: NativeRequest, *parts: NativeRequest, **route: Any) -> Call:
    call = Call(UsageList(), FakeClock(), make_caller(), ACCOUNT, make_route(**route), Verb.CHAT_COMPLETION, "r")
    call.request, call.parts = request, parts
    return call


def most(request: NativeRequest, **route: Any) -> int:
    return most_prompt_tokens(request, make_route(**route))


async def test_one_request() -> None:
    assert (await admitted(call_of(ONE))).tokens == most(ONE) + 50


async def test_every_choice_of_a_call_counts_and_is_asked_for_once() -> None:
    assert (await admitted(call_of(ONE, ONE, ONE, ONE))).tokens == 3 * (most(ONE) + 50)
    long = CompletionRequest(prompts=["x" * 300], max_tokens=10)
    short = CompletionRequest(prompts=["x"], max_tokens=10)
    both = most(long) + most(short) + 20
    assert (await admitted(call_of(short, long, short))).tokens == both


async def test_an_answer_without_a_bound_gets_one() -> None:
    open_end = structs.replace(ONE, max_tokens=None)
    call = call_of(open_end, context_window=100_000)
    assert (await admitted(call)).tokens == most(open_end) + ASSUMED
    assert call.admitted.most_response == ASSUMED
    assert (await admitted(call_of(open_end, vendor=VENDOR))).tokens == most(open_end) + 99


async def test_it_gets_none_where_nobody_counts_tokens() -> None:
    call = call_of(structs.replace(ONE, max_tokens=None))
    await admitted(call, limits=(replace(LIMIT, bounds={Kind.CALLS: 1, Kind.DAY: 1}),))
    assert call.admitted.most_response is None


async def test_the_dearest_of_those_that_may_answer_counts() -> None:
    other = make_route(deployment_id="other", model_id="dear", vendor=VENDOR)
    another = make_route(deployment_id="another", vendor=VENDOR)
    prices = {"other": 7, "another": 5}

    def price(route: Route, prompt: int, response: int) -> int | None:
        return prices.get(route.deployment_id)

    assert (await admitted(call_of(ONE, fallbacks=("other", "another", "gone")), other, another, price=price)).nano == 7
    del prices["another"]
    assert (await admitted(call_of(ONE, fallbacks=("other", "another")), other, another, price=price)).nano is None


async def test_the_limits_of_what_was_called_count_whoever_answers() -> None:
    call = call_of(ONE)
    call.turn_to(make_route(deployment_id="other", model_id="another model"))
    limiter = Limiter((LIMIT,))
    await Admission(limiter, FakeRoutes(), FREE, ASSUMED, 0).admit(call)
    assert limiter.asked_for == [(ACCOUNT, "key-id", "identity-id", call.asked.model_id)]


@pytest.mark.parametrize(("willing", "waits"), [(None, 60), (5, 5), (3600, 60)])
async def test_nobody_waits_for_a_limit_longer_than_caller_and_settings_allow(
    willing: float | None, waits: float
) -> None:
    call = call_of(ONE)
    call.max_wait = willing
    limiter = Limiter((LIMIT,))
    await Admission(limiter, FakeRoutes(), FREE, ASSUMED, 60).admit(call)
    assert limiter.waits == [waits]


async def test_what_is_passed_through_unread_is_a_call_of_no_tokens() -> None:
    call = call_of(ONE)
    call.request = None
    assert await admitted(call) == Want()


@pytest.mark.parametrize(("vendor", "bound"), [(None, None), (VENDOR, ASSUMED)])
async def test_money_bounds_answers_of_vendors_alone(vendor: VendorTarget | None, bound: int | None) -> None:
    call = call_of(structs.replace(ONE, max_tokens=None), vendor=vendor)
    await admitted(call, limits=(replace(LIMIT, bounds={Kind.MONTH: 1}),))
    assert call.admitted.most_response == bound


async def test_the_most_tokens_of_those_that_may_answer_count() -> None:
    terse = make_route(deployment_id="terse", context_window=10)
    assert (await admitted(call_of(ONE, fallbacks=("terse",)), terse)).tokens == most(ONE) + 50


async def test_each_prompt_of_a_completion_has_an_answer_of_its_own() -> None:
    three = CompletionRequest(prompts=["a", "b", "c"], max_tokens=50)
    assert (await admitted(call_of(three))).tokens == most(three) + 150
