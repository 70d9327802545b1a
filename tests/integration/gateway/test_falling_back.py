"""Calls of a deployment that cannot answer, and of its fallbacks."""

from typing import Any

import pytest
from gateway_house import Asked, Build, House, StartWorker, answer_chat

from modelyard.domain.deployments import DeploymentStatus
from modelyard.domain.routes import Endpoint, Route
from modelyard.testing.gateway import make_route

FIRST, SECOND, THIRD = (f"{number}2222222-2222-4222-8222-222222222222" for number in (1, 2, 3))


def route(deployment_id: str, name: str, *addresses: str, **changes: Any) -> Route:
    endpoints = tuple(Endpoint(f"{name}-{index}", address) for index, address in enumerate(addresses))
    return make_route(deployment_id=deployment_id, deployment_name=name, endpoints=endpoints, **changes)


async def says_no(asked: Asked) -> None:
    await asked.answer({"error": {"message": "busy"}}, 503)


async def refuses(asked: Asked) -> None:
    await asked.answer({"error": {"message": "wrong"}}, 400)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_next_one_answers(house: House, start_worker: StartWorker, stream: bool) -> None:
    failing, well = await start_worker(says_no), await start_worker()
    house.routes.put(route(FIRST, "chat", failing.address, fallbacks=(SECOND,)), route(SECOND, "other", well.address))
    answer = await house.chat(stream=stream)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-served-by"] == SECOND
    record = await house.record()
    assert (record.deployment_id, record.served_by, record.outcome) == (FIRST, SECOND, "ok")
    assert len(failing.asked) == len(well.asked) == 1


async def test_who_was_called_answers_if_it_can(house: House, start_worker: StartWorker) -> None:
    first, second = await start_worker(), await start_worker()
    house.routes.put(route(FIRST, "chat", first.address, fallbacks=(SECOND,)), route(SECOND, "other", second.address))
    answer = await house.chat()
    assert answer.headers["x-served-by"] == FIRST
    assert (await house.record()).served_by is None
    assert not second.asked


async def test_the_others_answer_while_it_is_cold(house: House, start_worker: StartWorker) -> None:
    well = await start_worker()
    house.routes.put(route(FIRST, "chat", fallbacks=(SECOND,)), route(SECOND, "other", well.address))
    answer = await house.chat()
    assert (answer.status_code, answer.headers["x-served-by"]) == (200, SECOND)
    assert house.waker.woken == [FIRST]


async def test_a_cold_one_is_waited_for_when_the_others_fail(build: Build, start_worker: StartWorker) -> None:
    house = await build(cold_start_seconds=1)
    failing = await start_worker(says_no)
    house.routes.put(route(FIRST, "chat", fallbacks=(SECOND,)), route(SECOND, "other", failing.address))
    answer = await house.chat()
    assert answer.json()["code"] == "cold_start_timeout"
    assert len(failing.asked) == 1
    assert set(house.waker.woken) == {FIRST}


async def test_what_is_wrong_with_the_request_is_told_at_once(house: House, start_worker: StartWorker) -> None:
    picky, well = await start_worker(refuses), await start_worker()
    house.routes.put(route(FIRST, "chat", picky.address, fallbacks=(SECOND,)), route(SECOND, "other", well.address))
    assert (await house.chat()).status_code == 422
    assert not well.asked


async def test_the_last_ones_error_is_told_when_nobody_can(house: House, start_worker: StartWorker) -> None:
    one, two = await start_worker(says_no), await start_worker(says_no)
    house.routes.put(
        route(FIRST, "chat", one.address, fallbacks=(SECOND, THIRD)),
        route(SECOND, "other", two.address),
        route(THIRD, "gone", status=DeploymentStatus.DELETE_IN_PROGRESS),
    )
    answer = await house.chat()
    assert (answer.status_code, answer.json()["code"]) == (503, "worker_busy")
    record = await house.record()
    assert (record.deployment_id, record.outcome) == (FIRST, "error")


async def test_a_stream_that_has_begun_is_not_begun_anew(house: House, start_worker: StartWorker) -> None:
    async def breaks(asked: Asked) -> None:
        event = b'data: {"choices": [{"index": 0, "delta": {"content": "Half"}}]}\n\n'
        asked.writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + event)
        await asked.writer.drain()
        asked.writer.close()

    broken, well = await start_worker(breaks), await start_worker(answer_chat)
    house.routes.put(route(FIRST, "chat", broken.address, fallbacks=(SECOND,)), route(SECOND, "other", well.address))
    answer = await house.chat(stream=True)
    assert "Half" in answer.text
    assert "event: error" in answer.text
    assert not well.asked


@pytest.mark.parametrize("stream", [False, True])
async def test_one_deployment_answers_all_choices(house: House, start_worker: StartWorker, stream: bool) -> None:
    failing, well = await start_worker(says_no), await start_worker()
    house.routes.put(route(FIRST, "chat", failing.address, fallbacks=(SECOND,)), route(SECOND, "other", well.address))
    body = {"model": "chat", "messages": [{"role": "user", "content": "Hi"}], "n": 3, "stream": stream}
    answer = await house.client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-served-by"] == SECOND
    record = await house.record()
    assert (record.deployment_id, record.served_by, record.estimated) == (FIRST, SECOND, False)
    assert len(well.asked) == 3
