"""Calls of a deployment that cannot answer, and of its fallbacks."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from gateway_house import Asked, Build, House, StartWorker, answer_chat

from modelyard.domain.accounts import IdentityType
from modelyard.domain.deployments import DeploymentStatus
from modelyard.domain.routes import Endpoint, Route
from modelyard.domain.servers import Backend, ModelServer
from modelyard.domain.templates import EndpointProtocol, ModelType
from modelyard.testing.gateway import ACCOUNT, make_route

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


def server(*backends: Backend, fallbacks: tuple[str, ...]) -> ModelServer:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return ModelServer("s", ACCOUNT, at, "u", IdentityType.USER, "Shown", "stable", backends, fallbacks=fallbacks)


CALLS = (
    ("/v4/serving/s/execute", {"messages": [{"role": "user", "content": "Hi"}]}),
    ("/v4/serving/a/stable/execute", {"messages": [{"role": "user", "content": "Hi"}], "stream": True}),
    ("/v1/chat/completions", {"model": "stable", "messages": [{"role": "user", "content": "Hi"}], "n": 2}),
)


@pytest.mark.parametrize(("path", "body"), CALLS)
async def test_a_servers_fallbacks_answer_where_none_behind_it_can(
    house: House, start_worker: StartWorker, path: str, body: Any
) -> None:
    failing, well = await start_worker(says_no), await start_worker()
    routes = (route(FIRST, "chat", failing.address), route(SECOND, "cold"), route(THIRD, "theirs", well.address))
    behind = (Backend(FIRST, 1), Backend(SECOND, 0))
    house.routes.put(*routes, servers=[server(*behind, fallbacks=(THIRD,))])
    answer = await house.client.post(path, json=body)
    assert (answer.status_code, answer.headers["x-served-by"]) == (200, THIRD), answer.text
    record = await house.record()
    assert (record.deployment_id, record.served_by, record.outcome) == (FIRST, THIRD, "ok")


async def test_the_others_behind_a_server_go_before_its_fallbacks(house: House, start_worker: StartWorker) -> None:
    failing, well, spare = await start_worker(says_no), await start_worker(), await start_worker()
    routes = (route(FIRST, "a", failing.address), route(SECOND, "b", well.address), route(THIRD, "c", spare.address))
    house.routes.put(*routes, servers=[server(Backend(FIRST), Backend(SECOND), fallbacks=(THIRD,))])
    for _ in range(10):
        answer = await house.chat("stable")
        assert (answer.status_code, answer.headers["x-served-by"]) == (200, SECOND)
    assert not spare.asked


async def test_a_servers_fallbacks_answer_while_what_is_behind_it_is_cold(
    house: House, start_worker: StartWorker
) -> None:
    well = await start_worker()
    routes = (route(FIRST, "chat"), route(SECOND, "theirs", well.address))
    house.routes.put(*routes, servers=[server(Backend(FIRST), fallbacks=(SECOND,))])
    answer = await house.chat("stable")
    assert (answer.status_code, answer.headers["x-served-by"]) == (200, SECOND)
    assert house.waker.woken == [FIRST]
    # Who calls the deployment itself waits for it.
    alone = await house.client.post(
        "/v4/models/chat/chat-completions",
        json={"prompt": "Hi", "chat_history": []},
        headers={"x-max-wait-seconds": "0"},
    )
    assert alone.status_code == 503


PASSED_ON: dict[str, Any] = {"protocol": EndpointProtocol.SGP}
EXECUTE = f"/v4/models/33333333-3333-4333-8333-333333333333/deployments/{FIRST}/execute"


async def cut_before_a_byte(asked: Asked) -> None:
    await asked.begin_stream("application/octet-stream")
    await asked.reset()


@pytest.mark.parametrize("model_type", [ModelType.GENERIC, ModelType.AGENT, ModelType.BUNDLE])
@pytest.mark.parametrize("trouble", [says_no, cut_before_a_byte])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_passed_on_falls_back_with_the_same_body(
    house: House, start_worker: StartWorker, model_type: ModelType, trouble: Any, stream: bool
) -> None:
    async def behave(asked: Asked) -> None:
        if asked.path == "/generate_streaming":
            await asked.begin_stream("application/octet-stream")
            await asked.piece(b"\x00\x01")
            await asked.piece(asked.body)
            await asked.end_stream()
        else:
            await asked.answer(asked.body)

    failing, well = await start_worker(trouble), await start_worker(behave)
    kind = {**PASSED_ON, "model_type": model_type}
    house.routes.put(
        route(FIRST, "chat", failing.address, fallbacks=(SECOND,), **kind), route(SECOND, "other", well.address, **kind)
    )
    sent = b'{"stream": %b, "x": [1, null]}' % (b"true" if stream else b"false")
    answer = await house.client.post(EXECUTE, content=sent)
    assert (answer.status_code, answer.headers["x-served-by"]) == (200, SECOND), answer.text
    assert answer.content == (b"\x00\x01" + sent if stream else sent)
    assert [asked.body for asked in well.asked] == [sent]
    record = await house.record()
    assert (record.deployment_id, record.served_by, record.outcome) == (FIRST, SECOND, "ok")


async def test_what_was_passed_on_in_part_is_not_begun_anew(house: House, start_worker: StartWorker) -> None:
    async def breaks(asked: Asked) -> None:
        await asked.begin_stream("application/octet-stream")
        await asked.piece(b"half")
        await asked.reset()

    broken, well = await start_worker(breaks), await start_worker()
    kind = {**PASSED_ON, "model_type": ModelType.GENERIC}
    house.routes.put(
        route(FIRST, "chat", broken.address, fallbacks=(SECOND,), **kind), route(SECOND, "other", well.address, **kind)
    )
    with pytest.raises(httpx.RemoteProtocolError):
        await house.client.post(EXECUTE, json={"stream": True})
    assert not well.asked
    assert (await house.record()).outcome == "error"


async def test_only_the_same_type_answers_instead(house: House, start_worker: StartWorker) -> None:
    failing, chats = await start_worker(says_no), await start_worker()
    house.routes.put(
        route(FIRST, "chat", failing.address, fallbacks=(SECOND,), model_type=ModelType.GENERIC, **PASSED_ON),
        route(SECOND, "other", chats.address),
    )
    answer = await house.client.post(EXECUTE, json={})
    assert (answer.status_code, answer.json()["code"]) == (503, "worker_busy")
    assert not chats.asked


async def test_what_breaks_before_its_first_byte_is_told_as_an_error(house: House, start_worker: StartWorker) -> None:
    house.show(await start_worker(cut_before_a_byte), model_type=ModelType.GENERIC, **PASSED_ON)
    answer = await house.client.post(EXECUTE.replace(FIRST, "chat"), json={})
    assert (answer.status_code, answer.json()["code"]) == (502, "upstream_cut_off")
    assert house.gateway.in_flight("w0") == 0
