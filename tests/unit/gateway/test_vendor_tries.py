"""How often a vendor is asked, and when: never again before it said that one might."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from modelyard.domain.models import ModelVendor
from modelyard.domain.routes import Endpoint
from modelyard.domain.usage import Verb
from modelyard.domain.vendors import VendorKey, VendorTarget
from modelyard.errors import ModelyardError, RateLimited, UpstreamTimeout
from modelyard.gateway.adapters.wire import WireRequest
from modelyard.gateway.metering import Call
from modelyard.gateway.vendors.calling import VendorAccess, VendorCaller
from modelyard.gateway.vendors.formats import adapter_for
from modelyard.settings import VendorsSettings
from modelyard.testing.clock import FakeClock
from modelyard.testing.gateway import ACCOUNT, UsageList, make_caller, make_route

TARGET = VendorTarget(ModelVendor.OPENAI, "gpt", "https://x")
ROUTE = make_route(vendor=TARGET)


class Answers:
    """A vendor's answer: its status, and headers."""

    content_type = "application/json"

    def __init__(self, status: int, **headers: str) -> None:
        self.status = status
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def header(self, name: str) -> str | None:
        return self._headers.get(name)

    async def read_start(self) -> bytes:
        return b'{"error": {"message": "no"}}'


class Vendor:
    """Takes the place of the connection to one: gives these answers, one after the other."""

    def __init__(self, *line: Answers | ModelyardError) -> None:
        self._line = list(line)
        self.asked = 0

    async def send(self, *_: Any) -> Any:
        self.asked += 1
        answer = self._line.pop(0)
        if isinstance(answer, ModelyardError):
            raise answer
        return answer


class OneKey:
    def keys(self, target: VendorTarget, account_id: str) -> Sequence[VendorKey]:
        return [VendorKey("k", ModelVendor.OPENAI, "https://x", {"api_key": "k"})]


Ask = Callable[[Vendor], asyncio.Task[Any]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ask(clock: FakeClock) -> Ask:
    def begin(vendor: Vendor) -> asyncio.Task[Any]:
        caller = VendorCaller(vendor, clock, VendorAccess(OneKey(), VendorsSettings()))  # type: ignore[arg-type]
        call = Call(UsageList(), clock, make_caller(), ACCOUNT, ROUTE, Verb.CHAT_COMPLETION, "r")
        sent = caller.send(
            call,
            ROUTE,
            Endpoint("v", "https://x"),
            lambda *_: WireRequest("/chat", b"{}"),
            adapter_for(ModelVendor.OPENAI),
        )
        return asyncio.create_task(sent)

    return begin


@pytest.mark.parametrize(
    "headers",
    [
        {"retry_after": "3"},
        {"retry_after_ms": "3000", "retry_after": "9"},
        {"retry_after": format_datetime(datetime.now(UTC) + timedelta(hours=-1), usegmt=True), "retry_after_ms": "3e3"},
    ],
)
async def test_the_vendors_word_is_waited_for(clock: FakeClock, ask: Ask, headers: dict[str, str]) -> None:
    vendor = Vendor(Answers(429, **headers), Answers(200))
    answer = ask(vendor)
    await clock.advance(0)
    await clock.advance(2.9)
    assert (vendor.asked, answer.done()) == (1, False)
    await clock.advance(0.2)
    assert vendor.asked == 2
    assert (await answer).status == 200


async def test_a_date_is_a_word_too(clock: FakeClock, ask: Ask) -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    vendor = Vendor(Answers(429, retry_after=in_an_hour))
    answer = ask(vendor)
    await clock.advance(0)
    with pytest.raises(RateLimited) as told:
        await answer
    assert 3000 < (told.value.retry_after or 0) <= 3600
    assert vendor.asked == 1, "that is for the caller to wait"


async def test_two_further_tries_and_no_more(clock: FakeClock, ask: Ask) -> None:
    vendor = Vendor(*(Answers(503) for _ in range(5)))
    answer = ask(vendor)
    for _ in range(6):
        await clock.advance(10)
    with pytest.raises(ModelyardError):
        await answer
    assert vendor.asked == 3


async def test_what_took_too_long_may_be_at_work_yet_and_is_not_asked_again(clock: FakeClock, ask: Ask) -> None:
    vendor = Vendor(UpstreamTimeout("too long"), Answers(200))
    answer = ask(vendor)
    for _ in range(6):
        await clock.advance(10)
    with pytest.raises(UpstreamTimeout):
        await answer
    assert vendor.asked == 1


async def test_no_setting_allows_more_tries() -> None:
    with pytest.raises(ValueError, match="less than or equal to 2"):
        VendorsSettings(retries=3)
