"""One record for each call: what it says when all goes well, and when it does not."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from modelyard.domain.inference import ChatRequest, Message
from modelyard.domain.usage import Outcome, Verb
from modelyard.errors import UpstreamError
from modelyard.gateway.metering import Call, ClientGone
from modelyard.testing.clock import START, FakeClock
from modelyard.testing.gateway import ACCOUNT, UsageList, make_caller, make_route

ASK = ChatRequest(messages=[Message("user", "one two three four five six")])


class Meter:
    def __init__(self) -> None:
        self.sink = UsageList()
        self.clock = FakeClock()

    def call(self) -> Call:
        return Call(self.sink, self.clock, make_caller(), ACCOUNT, make_route(), Verb.CHAT_COMPLETION, "req-1")

    @property
    def record(self) -> Any:
        (record,) = self.sink.records
        return record


async def test_a_call_that_went_well() -> None:
    meter = Meter()
    with meter.call() as call:
        call.request = ASK
        call.sent = True
        await meter.clock.advance(2)
        call.first_byte()
        await meter.clock.advance(3)
        call.first_byte()  # only the first one counts
        call.count(12, 34)
    record = meter.record
    assert (record.outcome, record.error_code) == (Outcome.OK, None)
    assert (record.prompt_tokens, record.response_tokens, record.estimated) == (12, 34, False)
    assert (record.started_at, record.first_byte_seconds, record.total_seconds) == (START, 2, 5)
    assert (record.account_id, record.key_id, record.identity_id) == (ACCOUNT, "key-id", "identity-id")
    assert (record.request_id, record.verb, record.model_name) == ("req-1", Verb.CHAT_COMPLETION, "chat-model")
    assert record.deployment_id == make_route().deployment_id


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_is_set_changes_no_duration(hours: int) -> None:
    meter = Meter()
    with meter.call() as call:
        await meter.clock.advance(2)
        call.first_byte()
        meter.clock.step(timedelta(hours=hours))
        await meter.clock.advance(3)
    record = meter.record
    assert (record.started_at, record.first_byte_seconds, record.total_seconds) == (START, 2, 5)


async def test_counts_the_worker_did_not_tell_are_estimated() -> None:
    meter = Meter()
    with meter.call() as call:
        call.request, call.sent = ASK, True
        call.first_byte()
        call.estimated_response = 5
    assert meter.record.estimated
    assert meter.record.prompt_tokens > 0
    assert meter.record.response_tokens == 5


async def test_an_error_before_any_work_costs_nothing() -> None:
    meter = Meter()
    call = meter.call()
    call.request, call.sent = ASK, True
    with pytest.raises(UpstreamError), call:
        raise UpstreamError("no", code="upstream_lost")
    record = meter.record
    assert (record.outcome, record.error_code) == (Outcome.ERROR, "upstream_lost")
    assert (record.prompt_tokens, record.response_tokens, record.estimated) == (0, 0, False)
    assert record.first_byte_seconds is None


@pytest.mark.parametrize("error", [asyncio.CancelledError, ClientGone])
async def test_a_client_that_left_pays_for_what_was_done(error: type[BaseException]) -> None:
    meter = Meter()
    call = meter.call()
    call.request, call.sent = ASK, True
    call.first_byte()
    call.estimated_response = 2
    with pytest.raises(error), call:
        raise error
    assert meter.record.outcome is Outcome.CANCELLED
    assert meter.record.prompt_tokens > 0
    assert meter.record.response_tokens == 2
    assert meter.record.estimated


async def test_an_error_nobody_foresaw_is_an_error() -> None:
    meter = Meter()
    with pytest.raises(ZeroDivisionError), meter.call():
        raise ZeroDivisionError
    assert (meter.record.outcome, meter.record.error_code) == (Outcome.ERROR, "internal_error")


async def test_every_record_has_an_id_of_its_own() -> None:
    meter = Meter()
    for _ in range(100):
        with meter.call():
            pass
    assert len({record.id for record in meter.sink.records}) == 100
