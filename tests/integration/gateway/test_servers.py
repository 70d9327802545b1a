"""Model servers on the hot path, through the official client."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import scale_gp
from gateway_house import Asked, House, StartWorker, Worker, chunk, until
from scale_gp import AsyncSGPClient

from modelyard.domain.accounts import IdentityType
from modelyard.domain.routes import Route
from modelyard.domain.servers import Backend, ModelServer
from modelyard.domain.templates import EndpointProtocol, ModelType
from modelyard.testing.gateway import ACCOUNT, KEY, endpoints, make_route


@pytest.fixture
async def client(house: House) -> AsyncIterator[AsyncSGPClient]:
    async with AsyncSGPClient(
        base_url=house.base_url, api_key=KEY, account_id=ACCOUNT, max_retries=0, _strict_response_validation=True
    ) as made:
        yield made


def route(name: str, worker: Worker, **changes: Any) -> Route:
    return make_route(
        deployment_id=name, deployment_name=f"{name} itself", endpoints=endpoints(worker.address), **changes
    )


def server(*backends: Backend) -> ModelServer:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return ModelServer("the-server", ACCOUNT, at, "u", IdentityType.USER, "Shown", "stable", backends)


GENERIC: dict[str, Any] = {"model_type": ModelType.GENERIC, "protocol": EndpointProtocol.SGP}


async def test_execute_by_id_and_by_alias(house: House, client: AsyncSGPClient, start_worker: StartWorker) -> None:
    async def behave(asked: Asked) -> None:
        await asked.answer({"status": "ok", "path": asked.path, "got": asked.json["question"]})

    house.routes.put(route("a", await start_worker(behave), **GENERIC), servers=[server(Backend("a"))])
    body = {"question": 1}
    for answer in (
        await client.model_servers.execute("the-server", extra_body=body),
        await client.alias.execute("stable", extra_body=body),
    ):
        assert answer.model_dump(exclude_none=True) == {"status": "ok", "path": "/predict", "got": 1}
    assert [record.deployment_id for record in house.usage.records] == ["a", "a"]
    with pytest.raises(scale_gp.NotFoundError):
        await client.alias.execute("the-server", extra_body=body)
    with pytest.raises(scale_gp.NotFoundError):
        await client.model_servers.execute("stable", extra_body=body)


async def test_execute_streams(house: House, client: AsyncSGPClient, start_worker: StartWorker) -> None:
    house.routes.put(route("a", await start_worker()), servers=[server(Backend("a"))])
    body = {"messages": [{"role": "user", "content": "Hi"}]}
    async with client.alias.with_streaming_response.execute("stable", stream=True, extra_body=body) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in answer.iter_lines() if line]
    assert [line for line in lines if '"text":"Hel"' in line]
    assert '"finish_reason":"stop"' in lines[-1]


@pytest.mark.parametrize("path", ["/v4/serving/the-server/execute", "/v4/serving/a/stable/execute"])
async def test_execute_streams_whatever_bytes(house: House, start_worker: StartWorker, path: str) -> None:
    async def behave(asked: Asked) -> None:
        assert asked.path == "/generate_streaming"
        await asked.begin_stream("application/octet-stream")
        await asked.piece(b"\x00first")
        await go_on.wait()
        await asked.piece(b"\xfflast")
        await asked.end_stream()

    go_on = asyncio.Event()
    house.routes.put(route("a", await start_worker(behave), **GENERIC), servers=[server(Backend("a"))])
    async with house.client.stream("POST", path, json={"stream": True}) as answer:
        assert (answer.status_code, answer.headers["x-served-by"]) == (200, "a")
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"\x00first"
        go_on.set()
        assert b"".join([piece async for piece in pieces]) == b"\xfflast"


async def test_a_servers_alias_is_a_model_everywhere(
    house: House, client: AsyncSGPClient, start_worker: StartWorker
) -> None:
    house.routes.put(route("a", await start_worker()), servers=[server(Backend("a"))])
    for reference in ("stable", "Shown", "the-server"):
        answer = await client.models.chat_completions.create(reference, prompt="Hi", chat_history=[])
        assert answer.completions == [["Hi", ["Hello"]]]


async def test_a_call_under_way_is_finished_where_it_began(
    house: House, client: AsyncSGPClient, start_worker: StartWorker
) -> None:
    go_on = asyncio.Event()

    async def slow(asked: Asked) -> None:
        await asked.begin_stream()
        await asked.piece(chunk("o"))
        await go_on.wait()
        await asked.piece(chunk("ld"))
        await asked.piece(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n')
        await asked.end_stream()

    old, new = await start_worker(slow), await start_worker()
    routes = route("old", old), route("new", new)
    house.routes.put(*routes, servers=[server(Backend("old"))])
    stream = await client.models.chat_completions.create("stable", prompt="Hi", chat_history=[], stream=True)
    texts: list[Any] = [(await anext(stream)).completions[0][1]]
    house.routes.put(*routes, servers=[server(Backend("new"))])
    later = await client.models.chat_completions.create("stable", prompt="Hi", chat_history=[])
    assert later.completions == [["Hi", ["Hello"]]]
    go_on.set()
    texts += [piece.completions[0][1] async for piece in stream]
    assert "".join(text for (text,) in texts) == "old"
    await until(lambda: len(house.usage.records) == 2)
    assert [record.deployment_id for record in house.usage.records] == ["new", "old"]


async def test_shares_are_kept(house: House, client: AsyncSGPClient, start_worker: StartWorker) -> None:
    workers = [await start_worker() for _ in range(2)]
    routes = [route(name, worker) for name, worker in zip("ab", workers, strict=True)]
    house.routes.put(*routes, servers=[server(Backend("a", 3), Backend("b", 1), Backend("gone", 5))])
    for _ in range(80):
        await client.models.chat_completions.create("stable", prompt="Hi", chat_history=[])
    counted = Counter(record.deployment_id for record in house.usage.records)
    # Four standard deviations around three quarters.
    assert 45 <= counted["a"] <= 75
    assert counted["a"] + counted["b"] == 80


async def test_nothing_behind_it_is_told(house: House, start_worker: StartWorker) -> None:
    house.routes.put(servers=[server(Backend("gone"))])
    answer = await house.client.post("/v4/serving/the-server/execute", json={})
    assert (answer.status_code, answer.json()["code"]) == (503, "no_backend")
    assert answer.headers["retry-after"]


async def test_servers_are_listed_among_openais_models(house: House, start_worker: StartWorker) -> None:
    worker = await start_worker()
    taken = make_route(deployment_id="b", deployment_name="stable", endpoints=endpoints(worker.address))
    house.routes.put(route("a", worker), taken, servers=[server(Backend("a"))])
    listed = (await house.client.get("/v1/models")).json()["data"]
    # The deployment whose name the alias has taken is called by its id.
    assert [(each["id"], each["deployment_id"]) for each in listed] == [("stable", "a"), ("a itself", "a"), ("b", "b")]
    for each in listed:
        body = {"model": each["id"], "messages": [{"role": "user", "content": "Hi"}]}
        answer = await house.client.post("/v1/chat/completions", json=body)
        assert answer.headers["x-served-by"] == each["deployment_id"]
