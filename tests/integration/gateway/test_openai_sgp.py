"""The official openai client through the gateway to a worker of our own that speaks SGP."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from gateway_house import House, StartWorker, until
from llama_worker import worker_behind
from openai import AsyncOpenAI

from modelyard.domain.templates import EndpointProtocol
from modelyard.testing.gateway import KEY, make_route

ASK: Any = [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "one two three"}]


@pytest.fixture
async def client(house: House) -> AsyncIterator[AsyncOpenAI]:
    url = f"{house.base_url}/v1"
    async with AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0, _strict_response_validation=True) as made:
        yield made


@pytest.fixture
async def worker(house: House, tmp_path: Path) -> AsyncIterator[str]:
    route = make_route(protocol=EndpointProtocol.SGP)
    async with worker_behind(house, tmp_path, {"MODELYARD_ENGINE": "fake"}, route) as address:
        yield address


@pytest.mark.usefixtures("worker")
async def test_whole_streamed_and_several(client: AsyncOpenAI) -> None:
    settings: Any = {"model": "chat", "messages": ASK, "max_tokens": 4}
    whole = await client.chat.completions.create(**settings, logprobs=True)
    assert whole.choices[0].message.content == "one two three one"
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (5, 4)
    assert whole.choices[0].logprobs is not None
    assert [token.token for token in whole.choices[0].logprobs.content or ()] == ["one", " two", " three", " one"]
    texts = {0: "", 1: ""}
    stream = await client.chat.completions.create(**settings, n=2, stream=True, stream_options={"include_usage": True})
    async for piece in stream:
        for choice in piece.choices:
            texts[choice.index] += choice.delta.content or ""
        if piece.usage is not None:
            assert (piece.usage.prompt_tokens, piece.usage.completion_tokens) == (5, 8)
    assert texts == {0: "one two three one", 1: "one two three one"}
    completed = await client.completions.create(model="chat", prompt="one two", max_tokens=3)
    assert completed.choices[0].text == "one two one"


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("stream", [False, True])
async def test_what_its_engine_cannot_do_is_refused_by_name(client: AsyncOpenAI, stream: bool) -> None:
    tool: Any = {"type": "function", "function": {"name": "look"}}
    refused: list[tuple[str, Any]] = [("tools", [tool]), ("response_format", {"type": "json_object"})]
    for param, value in refused:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(model="chat", messages=ASK, stream=stream, **{param: value})
        assert caught.value.param == param
        assert "fake engine" in caught.value.message


async def test_a_stream_that_waits_for_a_worker_is_kept_alive(build: Any, start_worker: StartWorker) -> None:
    house: House = await build(heartbeat_seconds=0.05)
    house.show()
    async with AsyncOpenAI(base_url=f"{house.base_url}/v1", api_key=KEY, max_retries=0) as client:
        # Its headers come with the first comment, long before there is a worker.
        stream = await client.chat.completions.create(model="chat", messages=ASK, stream=True)
        await until(lambda: bool(house.waker.woken))
        reading = asyncio.create_task(_text(stream))
        house.show(await start_worker())
        assert await reading == "Hello"


async def _text(stream: Any) -> str:
    return "".join([piece.choices[0].delta.content or "" async for piece in stream])
