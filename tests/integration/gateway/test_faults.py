"""Workers that hang, reset, send garbage or half an answer, and clients that leave: clear errors, nothing kept."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from gateway_house import CHAT_ANSWER, CHAT_END, Asked, Build, House, StartWorker, answer_chat, chunk, until

from modelyard.domain.routes import Endpoint
from modelyard.domain.templates import ModelType
from modelyard.domain.usage import Outcome
from modelyard.testing.gateway import make_route


async def reset(asked: Asked) -> None:
    await asked.reset()


async def hang(asked: Asked) -> None:
    await asked.hang_until_left()


async def garbage(asked: Asked) -> None:
    await asked.raw(b"220 mail.example.com ESMTP\r\n\r\n")


async def not_json(asked: Asked) -> None:
    await asked.answer(b"<html>", kind="text/html")


async def half_an_answer(asked: Asked) -> None:
    await asked.raw(b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"choices":')
    await asked.reset()


async def half_a_status_line(asked: Asked) -> None:
    await asked.raw(b"HTTP/1.1 20")
    await asked.reset()


async def broken(asked: Asked) -> None:
    await asked.answer({"error": {"message": "CUDA error"}}, 500)


async def loading(asked: Asked) -> None:
    await asked.answer({"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, 503)


async def empty_stream(asked: Asked) -> None:
    await asked.stream()


async def error_first(asked: Asked) -> None:
    await asked.stream(b'data: {"error": {"code": 500, "message": "out of memory"}}\n\n')


def shape_of(response: httpx.Response) -> tuple[int, str]:
    body = response.json()
    assert set(body) == {"detail", "code", "request_id"}
    assert body["request_id"] == response.headers["x-request-id"]
    return response.status_code, body["code"]


FAULTS = [
    (reset, 502, "upstream_lost"),
    (garbage, 502, "upstream_garbage"),
    (not_json, 502, "upstream_error"),
    (half_an_answer, 502, "upstream_cut_off"),
    (half_a_status_line, 502, "upstream_cut_off"),
    (broken, 502, "upstream_error"),
    (loading, 503, "worker_busy"),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("behave", "status", "code"), FAULTS)
async def test_a_broken_worker_is_a_clear_error(
    house: House, start_worker: StartWorker, behave: Any, status: int, code: str, stream: bool
) -> None:
    house.show(await start_worker(behave))
    response = await house.chat(stream=stream)
    assert shape_of(response)[0] == status
    if not (stream and behave is not_json):
        assert shape_of(response)[1] == code
    record = await house.record()
    assert (record.outcome, record.error_code) == (Outcome.ERROR, response.json()["code"])
    assert house.gateway.in_flight("w0") == 0
    if status == 503:
        assert int(response.headers["retry-after"]) >= 1


@pytest.mark.parametrize("behave", [empty_stream, error_first])
async def test_a_stream_that_fails_at_once_still_has_its_own_status(
    house: House, start_worker: StartWorker, behave: Any
) -> None:
    house.show(await start_worker(behave))
    assert shape_of(await house.chat(stream=True))[0] == 502


async def test_half_a_stream_ends_with_an_error_event(house: House, start_worker: StartWorker) -> None:
    async def behave(asked: Asked) -> None:
        await asked.begin_stream()
        await asked.piece(chunk("Hel"))
        await asked.reset()

    house.show(await start_worker(behave))
    response = await house.chat(stream=True)
    assert response.status_code == 200
    first, last, nothing = response.text.split("\n\n")
    assert nothing == ""
    assert json.loads(first.removeprefix("data: "))["completions"] == [["Hi", ["Hel"]]]
    name, data = last.split("\n")
    assert name == "event: error"
    error = json.loads(data.removeprefix("data: "))
    assert error["code"] == "upstream_cut_off"
    assert error["request_id"] == response.headers["x-request-id"]
    record = await house.record()
    assert (record.outcome, record.error_code) == (Outcome.ERROR, "upstream_cut_off")
    assert record.estimated
    assert record.response_tokens == 1
    assert house.gateway.in_flight("w0") == 0


async def test_half_of_what_is_passed_through_breaks_off(house: House, start_worker: StartWorker) -> None:
    async def behave(asked: Asked) -> None:
        await asked.begin_stream(kind="application/json")
        await asked.piece(b'{"half":')
        await asked.reset()

    house.show(await start_worker(behave), model_type=ModelType.GENERIC)
    with pytest.raises(httpx.RemoteProtocolError):
        await house.client.post(f"/v4/models/{make_route().model_id}/deployments/chat/execute", json={})
    assert (await house.record()).outcome is Outcome.ERROR


async def test_a_worker_that_hangs_times_out(build: Build, start_worker: StartWorker) -> None:
    house = await build(first_byte_seconds=0.2)
    house.show(await start_worker(hang))
    assert shape_of(await house.chat()) == (504, "upstream_timeout")
    assert house.gateway.in_flight("w0") == 0


async def test_a_worker_that_stops_half_way_times_out(build: Build, start_worker: StartWorker) -> None:
    async def behave(asked: Asked) -> None:
        await asked.begin_stream()
        await asked.piece(chunk("Hel"))
        await asked.hang_until_left()

    house = await build(first_byte_seconds=0.2)
    house.show(await start_worker(behave))
    response = await house.chat(stream=True)
    assert '"code":"upstream_timeout"' in response.text


async def test_a_stream_that_never_ends_is_ended(build: Build, start_worker: StartWorker) -> None:
    async def behave(asked: Asked) -> None:
        await asked.begin_stream()
        while not asked.writer.is_closing():
            await asked.piece(chunk("more "))
            await asyncio.sleep(0.01)

    house = await build(total_seconds=0.3)
    house.show(await start_worker(behave))
    response = await house.chat(stream=True)
    assert '"code":"upstream_timeout"' in response.text


@pytest.mark.parametrize("behave", [reset, loading])
async def test_another_worker_takes_over_before_the_first_byte(
    house: House, start_worker: StartWorker, behave: Any
) -> None:
    bad, good = await start_worker(behave), await start_worker()
    house.show(bad, good)
    for stream in (False, True):
        assert (await house.chat(stream=stream)).status_code == 200
    assert bad.asked
    assert len(house.usage.records) == 2
    assert (house.gateway.in_flight("w0"), house.gateway.in_flight("w1")) == (0, 0)


async def test_a_dead_workers_calls_go_to_the_living(house: House, start_worker: StartWorker) -> None:
    good = await start_worker()
    nobody = Endpoint("w0", "http://127.0.0.1:9")  # discard: nothing listens there
    house.routes.put(make_route(endpoints=(nobody, Endpoint("w1", good.address))))
    responses = await asyncio.gather(*[house.chat() for _ in range(20)])
    assert {response.status_code for response in responses} == {200}


async def test_no_worker_to_be_reached_is_no_capacity(build: Build) -> None:
    house = await build(cold_start_seconds=0.2)
    house.routes.put(make_route(endpoints=(Endpoint("w0", "http://127.0.0.1:9"),)))
    response = await house.chat()
    assert shape_of(response) == (503, "worker_unreachable")
    assert response.headers["retry-after"]


@pytest.mark.parametrize("behave", [half_an_answer, broken])
async def test_nothing_is_tried_again_once_an_answer_began(
    house: House, start_worker: StartWorker, behave: Any
) -> None:
    bad, good = await start_worker(behave), await start_worker()
    house.show(bad, good)
    assert (await house.chat()).status_code == 502
    assert len(bad.asked) == 1
    assert good.asked == []


async def test_the_number_of_tries_is_bounded(build: Build, start_worker: StartWorker) -> None:
    house = await build(retries=1)
    workers = [await start_worker(reset) for _ in range(4)]
    house.show(*workers)
    assert (await house.chat()).status_code == 502
    assert sum(len(worker.asked) for worker in workers) == 2


async def test_a_kept_connection_that_is_reset_is_replaced(house: House, start_worker: StartWorker) -> None:
    """The worker closes an idle connection in the very moment in which the gateway uses it."""

    async def behave(asked: Asked) -> None:
        if worker.connections == 1 and len(worker.asked) == 2:
            await asked.reset()
        else:
            await answer_chat(asked)

    worker = await start_worker(behave)
    house.show(worker)
    assert (await house.chat()).status_code == 200
    assert (await house.chat()).status_code == 200
    assert worker.connections == 2
    assert len(worker.asked) == 3


async def test_an_idle_connection_closed_by_the_worker_is_not_used(house: House, start_worker: StartWorker) -> None:
    async def behave(asked: Asked) -> None:
        await answer_chat(asked)
        asked.writer.close()

    worker = await start_worker(behave)
    house.show(worker)
    for _ in range(3):
        assert (await house.chat()).status_code == 200
        await asyncio.sleep(0.01)
    assert len(worker.asked) == 3


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_stops_the_worker(house: House, start_worker: StartWorker, stream: bool) -> None:
    left = asyncio.Event()

    async def behave(asked: Asked) -> None:
        if stream:
            await asked.begin_stream()
            await asked.piece(chunk("Hel"))
        await asked.hang_until_left()
        left.set()

    house.show(await start_worker(behave))
    call = asyncio.create_task(house.chat(stream=stream))
    await until(lambda: house.gateway.in_flight("w0") == 1)
    await asyncio.sleep(0.1)
    call.cancel()
    async with asyncio.timeout(10):
        await left.wait()
    record = await house.record()
    assert record.outcome is Outcome.CANCELLED
    assert record.estimated
    assert record.prompt_tokens > 0
    assert house.gateway.in_flight("w0") == 0


async def test_a_client_that_leaves_the_queue_leaves_no_trace(house: House, start_worker: StartWorker) -> None:
    house.show(await start_worker(hang), per_worker=1)
    served = asyncio.create_task(house.chat())
    await until(lambda: house.gateway.in_flight("w0") == 1)
    waiting = asyncio.create_task(house.chat())
    await asyncio.sleep(0.1)
    waiting.cancel()
    record = await house.record()
    assert (record.outcome, record.prompt_tokens, record.estimated) == (Outcome.CANCELLED, 0, False)
    served.cancel()
    await until(lambda: house.gateway.in_flight("w0") == 0)


async def test_a_slow_client_slows_the_worker_down(house: House, start_worker: StartWorker) -> None:
    """Back-pressure: what nobody reads is not collected in the gateway."""
    wrote = 0
    piece = b"x" * 65536

    async def behave(asked: Asked) -> None:
        nonlocal wrote
        await asked.begin_stream(kind="application/octet-stream")
        for _ in range(2000):
            await asked.piece(piece)
            wrote += len(piece)
        await asked.end_stream()

    house.show(await start_worker(behave), model_type=ModelType.GENERIC)
    path = f"/v4/models/{make_route().model_id}/deployments/chat/execute"
    async with house.client.stream("POST", path, json={}) as response:
        await until(lambda: wrote > 0)
        before = -1
        while before != wrote:  # until nothing moves any more
            before = wrote
            await asyncio.sleep(0.3)
        assert wrote < 64 * 1024 * 1024
        total = 0
        async for data in response.aiter_raw():
            total += len(data)
    assert total == 2000 * len(piece)


async def test_no_worker_yet_means_waiting_for_one(house: House, start_worker: StartWorker) -> None:
    worker = await start_worker()
    route = house.show()
    call = asyncio.create_task(house.chat())
    await until(lambda: house.waker.woken == [route.deployment_id])
    house.show(worker)
    assert (await call).status_code == 200


async def test_waiting_for_a_worker_ends(build: Build) -> None:
    house = await build(cold_start_seconds=0.1)
    house.show()
    response = await house.chat()
    assert shape_of(response) == (503, "cold_start_timeout")
    assert response.headers["retry-after"]


async def test_a_failed_deployment_says_why(house: House) -> None:
    house.show(hopeless=True, reason="the weights are truncated")
    response = await house.chat()
    assert shape_of(response) == (503, "deployment_failed")
    assert "the weights are truncated" in response.json()["detail"]


async def test_never_more_than_per_worker_at_once(house: House, start_worker: StartWorker) -> None:
    most: dict[str, int] = {}
    now: dict[str, int] = {}

    def counting(name: str) -> Any:
        async def behave(asked: Asked) -> None:
            now[name] = now.get(name, 0) + 1
            most[name] = max(most.get(name, 0), now[name])
            await asyncio.sleep(0.02)
            now[name] -= 1
            await asked.answer(CHAT_ANSWER)

        return behave

    house.show(await start_worker(counting("a")), await start_worker(counting("b")), per_worker=3)
    responses = await asyncio.gather(*[house.chat() for _ in range(24)])
    assert {response.status_code for response in responses} == {200}
    assert most == {"a": 3, "b": 3}


async def test_interim_and_http_1_0_answers_are_understood(house: House, start_worker: StartWorker) -> None:
    async def behave(asked: Asked) -> None:
        body = json.dumps(CHAT_ANSWER).encode()
        await asked.raw(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n" + body
        )
        asked.writer.close()

    house.show(await start_worker(behave))
    for _ in range(2):
        assert (await house.chat()).status_code == 200


async def test_an_answer_cut_at_every_byte_is_still_an_answer(house: House, start_worker: StartWorker) -> None:
    async def behave(asked: Asked) -> None:
        data = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        for event in (chunk("Hel"), chunk("lo"), CHAT_END):
            data += b"%x\r\n%b\r\n" % (len(event), event)
        for byte in data + b"0\r\n\r\n":
            await asked.raw(bytes((byte,)))
            await asyncio.sleep(0)

    house.show(await start_worker(behave))
    response = await house.chat(stream=True)
    assert response.text.count("data: ") == 3


async def test_a_whole_answer_is_asked_for_again_when_its_stream_breaks(
    house: House, start_worker: StartWorker
) -> None:
    """llama.cpp is always asked to stream; a client that wanted the whole has not seen a byte of half of it."""

    async def behave(asked: Asked) -> None:
        await asked.begin_stream()
        await asked.piece(chunk("Hel"))
        if len(worker.asked) == 1:
            await asked.reset()
        else:
            await asked.piece(CHAT_END)
            await asked.end_stream()

    worker = await start_worker(behave)
    house.show(worker)
    response = await house.chat()
    assert response.json()["completions"] == [["Hi", ["Hel"]]]
    assert len(worker.asked) == 2
    assert (await house.record()).outcome is Outcome.OK


async def test_a_whole_answer_is_asked_for_again_only_once(house: House, start_worker: StartWorker) -> None:
    async def behave(asked: Asked) -> None:
        await asked.begin_stream()
        await asked.piece(chunk("Hel"))
        await asked.reset()

    worker = await start_worker(behave)
    house.show(worker)
    assert shape_of(await house.chat()) == (502, "upstream_cut_off")
    assert len(worker.asked) == 2
    assert house.gateway.in_flight("w0") == 0


async def test_a_worker_in_trouble_is_asked_again_what_it_can(house: House, start_worker: StartWorker) -> None:
    probes: list[str] = []

    async def behave(asked: Asked) -> None:
        if asked.path == "/props":
            probes.append(asked.path)
            await asked.answer({"error": {"message": "Loading model", "code": 503}}, 503 if len(probes) == 1 else 404)
        elif asked.path == "/tokenize":
            await asked.answer({"count": 3})
        else:
            await answer_chat(asked)

    house.show(await start_worker(behave, counts=True))
    for _ in range(3):
        assert (await house.chat()).status_code == 200
    assert len(probes) == 2


async def test_routes_of_a_template_cannot_add_to_a_request(house: House, start_worker: StartWorker) -> None:
    async def behave(asked: Asked) -> None:
        await asked.answer({"path": asked.path})

    worker = await start_worker(behave)
    house.show(worker, model_type=ModelType.GENERIC, predict_route="/a b\r\nx: y?z=1")
    response = await house.client.post(f"/v4/models/{make_route().model_id}/deployments/chat/execute", json={})
    assert response.json() == {"path": "/a%20b%0D%0Ax:%20y?z=1"}


async def test_any_success_of_a_worker_is_one(house: House, start_worker: StartWorker) -> None:
    async def behave(asked: Asked) -> None:
        await asked.answer({"made": True}, 201)

    house.show(await start_worker(behave), model_type=ModelType.GENERIC)
    response = await house.client.post(f"/v4/models/{make_route().model_id}/deployments/chat/execute", json={})
    assert (response.status_code, response.json()) == (200, {"made": True})


async def test_a_call_waits_for_the_replacement_of_the_only_worker(house: House, start_worker: StartWorker) -> None:
    dead = make_route(endpoints=(Endpoint("dead", "http://127.0.0.1:9"),))
    house.routes.put(dead)
    calling = asyncio.create_task(house.chat())
    await asyncio.sleep(0.2)  # it has found nobody there by now
    house.routes.put(replace(dead, endpoints=()))
    await asyncio.sleep(0.1)
    assert not calling.done()
    house.show(await start_worker())
    assert (await calling).status_code == 200
