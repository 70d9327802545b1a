"""Calls under limits: nothing is sent before it is admitted, whatever the call's surface; and what was reserved is in
the record of every call, however it ends: whoever writes it gives that back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import httpx
import pytest
from gateway_house import Asked, House, StartWorker, Worker, chunk, until

from modelyard.domain.accounts import IdentityType
from modelyard.domain.limits import Admitted, Kind, Left, Limit, OverLimit, Subject, Want, asks, decide
from modelyard.domain.usage import Outcome
from modelyard.gateway.admission import Admission
from modelyard.testing.clock import START
from modelyard.testing.gateway import ACCOUNT, make_route

TIGHT = Limit(
    id="tight",
    account_id=ACCOUNT,
    created_at=START,
    created_by_user_id="u",
    created_by_identity_type=IdentityType.USER,
    name="tight",
    subject=Subject.ACCOUNT,
    subject_id=ACCOUNT,
    bounds={Kind.CALLS: 10, Kind.TOKENS: 1000, Kind.CONCURRENT: 3},
)
HELLO = {"model": "chat", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5}


class OneLimit:
    """An `Admits` with one limit, of which nothing is used yet."""

    def __init__(self, workers: Sequence[Worker] = ()) -> None:
        self.limit = TIGHT
        self.workers = workers
        self.asked: list[Want] = []
        self.holds: asyncio.Event | None = None
        self.left_waiting = False

    def limits_of(self, account_id: str, key_id: str, identity_id: str, model_id: str) -> tuple[Limit, ...]:
        return (self.limit,)

    async def admit(self, limits: Sequence[Limit], want: Want, max_wait: float) -> Admitted:
        assert not any(worker.asked for worker in self.workers), "sent before it was admitted"
        self.asked.append(want)
        if self.holds is not None:
            try:
                await self.holds.wait()
            except asyncio.CancelledError:
                self.left_waiting = True
                raise
        verdict = decide(asks(limits, want, START), {})
        if verdict.exceeded is not None:
            told: tuple[Left, ...] = (verdict.exceeded, *verdict.left)
            raise OverLimit("The limit 'tight' is reached.", told, code="limit_exceeded", retry_after=7)
        return Admitted(tuple(left.ask.reservation for left in verdict.left), verdict.left, "gateway")


@pytest.fixture
def limiter(house: House) -> OneLimit:
    made = OneLimit()
    house.gateway._admission = Admission(made, house.routes, lambda *_: 0, 256, 0)
    return made


async def on_every_surface(house: House) -> AsyncIterator[httpx.Response]:
    execute = f"/v4/models/{make_route().model_id}/deployments/chat/execute"
    yield await house.chat(max_tokens=5)
    yield await house.chat(max_tokens=5, stream=True)
    yield await house.client.post("/v1/chat/completions", json=HELLO)
    yield await house.client.post("/v1/chat/completions", json={**HELLO, "stream": True})
    yield await house.client.post("/v1/chat/completions", json={**HELLO, "n": 2})
    yield await house.client.post("/v4/chat-completions", json={"model": "chat", "messages": HELLO["messages"]})
    yield await house.client.post(execute, json={"messages": HELLO["messages"], "max_tokens": 5})


async def test_answers_tell_what_is_left_and_records_hold_what_was_reserved(
    house: House, start_worker: StartWorker, limiter: OneLimit
) -> None:
    worker = await start_worker()
    house.show(worker)
    limiter.workers = [worker]
    async for answer in on_every_surface(house):
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-ratelimit-limit-requests"] == "10"
        assert answer.headers["x-ratelimit-remaining-requests"] == "9"
        assert answer.headers["x-ratelimit-remaining-concurrent"] == "2"
        await until(lambda: len(house.usage.records) == 1)
        (want,), (record,) = limiter.asked, house.usage.records
        assert {(each.kind, each.amount) for each in record.reserved} == {
            ("calls_per_minute", 1),
            ("tokens_per_minute", want.tokens),
            ("concurrent_calls", 1),
        }
        assert record.gateway_id == "gateway"
        for each in (limiter.asked, house.usage.records, worker.asked):
            each.clear()


async def test_what_is_over_its_limit_reaches_no_worker_and_is_told_why(
    house: House, start_worker: StartWorker, limiter: OneLimit
) -> None:
    worker = await start_worker()
    house.show(worker)
    limiter.limit = replace(TIGHT, bounds={Kind.CALLS: 0})
    async for answer in on_every_surface(house):
        assert answer.status_code == 429, answer.text
        assert "The limit 'tight' is reached." in answer.text
        assert answer.headers["retry-after"] == "7"
        assert answer.headers["x-ratelimit-remaining-requests"] == "0"
        assert answer.headers["x-ratelimit-reset-requests"] == "2026-01-01T00:01:00Z"
    assert not worker.asked
    assert {(each.outcome, each.reserved) for each in house.usage.records} == {(Outcome.ERROR, ())}


async def hang(asked: Asked) -> None:
    if asked.json.get("stream"):
        await asked.begin_stream()
        await asked.piece(chunk("Hel"))
    await asked.hang_until_left()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_is_a_record_that_gives_back(
    house: House, start_worker: StartWorker, limiter: OneLimit, stream: bool
) -> None:
    worker = await start_worker(hang)
    house.show(worker)
    call = asyncio.create_task(house.chat(max_tokens=5, stream=stream))
    await until(lambda: bool(worker.asked))
    call.cancel()
    record = await house.record()
    assert (record.outcome, len(record.reserved)) == (Outcome.CANCELLED, 3)


async def test_a_client_that_leaves_while_it_waits_for_its_limit_waits_no_longer(
    house: House, start_worker: StartWorker, limiter: OneLimit
) -> None:
    worker = await start_worker()
    house.show(worker)
    limiter.holds = asyncio.Event()
    call = asyncio.create_task(house.chat(max_tokens=5))
    await until(lambda: bool(limiter.asked))
    call.cancel()
    record = await house.record()
    assert (record.outcome, record.reserved, limiter.left_waiting) == (Outcome.CANCELLED, (), True)
    assert not worker.asked


async def test_a_worker_that_fails_is_a_record_that_gives_back(
    house: House, start_worker: StartWorker, limiter: OneLimit
) -> None:
    async def fail(asked: Asked) -> None:
        await asked.answer({"error": {"message": "no", "code": 500}}, 500)

    house.show(await start_worker(fail))
    assert (await house.chat(max_tokens=5)).status_code >= 500
    assert len((await house.record()).reserved) == 3


async def test_an_answer_without_an_end_is_given_one_and_its_caller_is_told(
    house: House, start_worker: StartWorker, limiter: OneLimit
) -> None:
    worker = await start_worker()
    house.show(worker)
    answer = await house.chat()
    assert worker.asked[0].json["max_tokens"] == 256
    assert "max_tokens" in answer.headers["x-parameters-adjusted"]
