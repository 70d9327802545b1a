"""The official openai client, unmodified and strict, against /v1."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from gateway_house import Asked, House, StartWorker, chunk
from openai import AsyncOpenAI, OpenAI
from openai_answers import CALL, WEATHER, chat_with_tools, scores, seeded, vectors
from pydantic import BaseModel

from modelyard.domain.templates import ModelType
from modelyard.domain.usage import Outcome, Verb
from modelyard.errors import RateLimited
from modelyard.testing.gateway import KEY

ASK: Any = [{"role": "user", "content": "How is the weather?"}]


@pytest.fixture
async def client(house: House) -> AsyncIterator[AsyncOpenAI]:
    url = f"{house.base_url}/v1"
    async with AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0, _strict_response_validation=True) as made:
        yield made


def lenient(client: AsyncOpenAI) -> AsyncOpenAI:
    """For what the client's own types do not allow: base64 in place of numbers, pieces without a finish_reason."""
    return client.with_options(_extra_kwargs={"_strict_response_validation": False})


async def test_chat(house: House, client: AsyncOpenAI, start_worker: StartWorker) -> None:
    worker = await start_worker()
    route = house.show(worker)
    answer = await client.chat.completions.create(
        model="chat",
        messages=[
            {"role": "developer", "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief."}]},
            {"role": "user", "content": "Hi", "name": "Ada"},
        ],
        max_completion_tokens=9,
        stop="END",
        temperature=0.5,
        seed=3,
        user="me",
        metadata={"a": "b"},
        store=False,
        service_tier="auto",
    )
    assert answer.choices[0].message.content == "Hello"
    assert (answer.choices[0].finish_reason, answer.object, answer.model) == ("stop", "chat.completion", "chat")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (5, 1, 6)
    assert answer.id == f"chatcmpl-{answer._request_id}"
    assert worker.asked[-1].json == {
        "messages": [{"role": "system", "content": "Be\nbrief."}, {"role": "user", "content": "Hi"}],
        "max_tokens": 9,
        "stop": ["END"],
        "temperature": 0.5,
        "seed": 3,
    }
    record = await house.record()
    assert (record.outcome, record.verb, record.deployment_id) == (
        Outcome.OK,
        Verb.CHAT_COMPLETION,
        route.deployment_id,
    )
    assert (record.prompt_tokens, record.response_tokens, record.estimated) == (5, 1, False)


async def test_the_synchronous_client(house: House, start_worker: StartWorker) -> None:
    house.show(await start_worker())

    def talk() -> tuple[str | None, str]:
        with OpenAI(base_url=f"{house.base_url}/v1", api_key=KEY, _strict_response_validation=True) as client:
            whole = client.chat.completions.create(model="chat", messages=ASK)
            stream = client.chat.completions.create(model="chat", messages=ASK, stream=True)
            return whole.choices[0].message.content, "".join(
                piece.choices[0].delta.content or "" for piece in stream if piece.choices
            )

    # The server runs on this test's own loop.
    assert await asyncio.to_thread(talk) == ("Hello", "Hello")


async def test_a_stream_ends_with_its_usage_where_that_is_asked_for(
    house: House, client: AsyncOpenAI, start_worker: StartWorker
) -> None:
    house.show(await start_worker())
    stream = await client.chat.completions.create(
        model="chat", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = [piece async for piece in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(piece.choices[0].delta.content or "" for piece in chunks if piece.choices) == "Hello"
    *pieces, last = chunks
    assert all(piece.usage is None for piece in pieces)
    assert pieces[-1].choices[0].finish_reason == "stop"
    assert last.choices == []
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (5, 2)
    assert len({piece.id for piece in chunks}) == 1
    plain = await client.chat.completions.create(model="chat", messages=ASK, stream=True)
    assert all(piece.choices for piece in [piece async for piece in plain])


async def test_what_is_on_the_wire_of_a_stream(house: House, start_worker: StartWorker) -> None:
    house.show(await start_worker())
    body = {"model": "chat", "messages": ASK, "stream": True}
    response = await house.client.post("/v1/chat/completions", json=body)
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "x-history-messages-dropped" not in response.headers
    blocks = response.text.split("\n\n")
    assert blocks[-2:] == ["data: [DONE]", ""]
    assert all(block.startswith("data: {") for block in blocks[:-2])
    assert "usage" not in response.text


async def test_tools_there_and_back(house: House, client: AsyncOpenAI, start_worker: StartWorker) -> None:
    worker = await start_worker(chat_with_tools)
    house.show(worker)
    tools: Any = [WEATHER]
    asked = await client.chat.completions.create(
        model="chat", messages=ASK, tools=tools, tool_choice="auto", parallel_tool_calls=False
    )
    choice = asked.choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    assert choice.message.tool_calls is not None
    assert choice.message.tool_calls[0].model_dump() == CALL
    assert worker.asked[-1].json["tools"] == tools
    assert (worker.asked[-1].json["tool_choice"], worker.asked[-1].json["parallel_tool_calls"]) == ("auto", False)
    history = [*ASK, choice.message, {"role": "tool", "tool_call_id": "call_1", "content": "rain"}]
    told = await client.chat.completions.create(model="chat", messages=history, tools=tools)
    assert told.choices[0].message.content == "It is rain"
    assert told.choices[0].message.model_extra == {"reasoning_content": "hm"}
    assert worker.asked[-1].json["messages"][1:] == [
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "rain", "tool_call_id": "call_1"},
    ]
    assert told.usage is not None
    assert told.usage.prompt_tokens_details is not None
    assert told.usage.completion_tokens_details is not None
    assert told.usage.prompt_tokens_details.cached_tokens == 8
    assert told.usage.completion_tokens_details.reasoning_tokens == 3


async def test_streamed_tools_are_put_together_by_the_client(
    house: House, client: AsyncOpenAI, start_worker: StartWorker
) -> None:
    house.show(await start_worker(chat_with_tools))
    tools: Any = [WEATHER]
    async with client.chat.completions.stream(model="chat", messages=ASK, tools=tools) as stream:
        answer = await stream.get_final_completion()
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    call = choice.message.tool_calls[0]
    assert (call.id, call.function.name, call.function.arguments) == ("call_1", "weather", '{"city":"Oslo"}')


class Weather(BaseModel):
    city: str
    degrees: int


async def test_parse_gives_an_object_of_the_callers_own(
    house: House, client: AsyncOpenAI, start_worker: StartWorker
) -> None:
    async def behave(asked: Asked) -> None:
        schema = asked.json["response_format"]["json_schema"]
        assert (schema["name"], schema["strict"]) == ("Weather", True)
        assert schema["schema"]["required"] == ["city", "degrees"]
        text = json.dumps({"city": "Oslo", "degrees": 7})
        await asked.answer({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})

    house.show(await start_worker(behave))
    answer = await client.chat.completions.parse(model="chat", messages=ASK, response_format=Weather)
    assert answer.choices[0].message.parsed == Weather(city="Oslo", degrees=7)


async def test_several_choices(house: House, client: AsyncOpenAI, start_worker: StartWorker) -> None:
    house.show(await start_worker(seeded))
    answer = await client.chat.completions.create(model="chat", messages=ASK, n=3, seed=5)
    assert [(choice.index, choice.message.content) for choice in answer.choices] == [
        (0, "seed 5"),
        (1, "seed 6"),
        (2, "seed 7"),
    ]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (5, 6)
    record = await house.record()
    assert (record.prompt_tokens, record.response_tokens, record.estimated) == (5, 6, False)


async def test_several_choices_streamed(house: House, client: AsyncOpenAI, start_worker: StartWorker) -> None:
    house.show(await start_worker(seeded))
    stream = await client.chat.completions.create(
        model="chat", messages=ASK, n=3, seed=5, stream=True, stream_options={"include_usage": True}
    )
    texts = {0: "", 1: "", 2: ""}
    reasons: dict[int, str] = {}
    async for piece in stream:
        for choice in piece.choices:
            texts[choice.index] += choice.delta.content or ""
            if choice.finish_reason:
                reasons[choice.index] = choice.finish_reason
        if piece.usage is not None:
            assert (piece.usage.prompt_tokens, piece.usage.completion_tokens) == (5, 6)
            assert len(reasons) == 3
    assert texts == {0: "seed5", 1: "seed6", 2: "seed7"}
    record = await house.record()
    assert (record.outcome, record.prompt_tokens, record.response_tokens) == (Outcome.OK, 5, 6)


async def test_completions_of_several_prompts(house: House, client: AsyncOpenAI, start_worker: StartWorker) -> None:
    worker = await start_worker(seeded)
    house.show(worker, model_type=ModelType.COMPLETION)
    answer = await client.completions.create(
        model="chat", prompt=["a", "b"], n=2, seed=1, logprobs=2, extra_body={"min_p": 0.1, "repetition_penalty": 1.2}
    )
    assert [choice.text for choice in answer.choices] == ["a 1", "a 2", "b 1", "b 2"]
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    logprobs = answer.choices[1].logprobs
    assert logprobs is not None
    assert (logprobs.tokens, logprobs.token_logprobs, logprobs.text_offset) == (["a 2"], [-0.5], [0])
    assert logprobs.top_logprobs == [{"a 2": -0.5, "other": -1.5}]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (10, 8)
    sent = worker.asked[0].json
    assert (sent["min_p"], sent["repetition_penalty"], sent["repeat_penalty"]) == (0.1, 1.2, 1.2)
    stream = await lenient(client).completions.create(model="chat", prompt=["a", "b"], stream=True)
    texts = {0: "", 1: ""}
    async for piece in stream:
        texts[piece.choices[0].index] += piece.choices[0].text
    assert texts == {0: "aNone", 1: "bNone"}


async def test_embeddings_as_numbers_and_as_base64(
    house: House, client: AsyncOpenAI, start_worker: StartWorker
) -> None:
    house.show(await start_worker(vectors), model_type=ModelType.EMBEDDING)
    expected = [[0.5, -1.25, 3.0], [1.5, -1.25, 3.0]]
    by_default = await lenient(client).embeddings.create(model="chat", input=["a", "b"])
    assert [item.embedding for item in by_default.data] == expected
    plain = await client.embeddings.create(model="chat", input=["a", "b"], encoding_format="float")
    assert [item.embedding for item in plain.data] == expected
    coded: Any = await lenient(client).embeddings.create(model="chat", input="a", encoding_format="base64")
    assert coded.data[0].embedding == "AAAAPwAAoL8AAEBA"
    assert (plain.usage.prompt_tokens, plain.usage.total_tokens) == (6, 6)


async def test_dimensions_are_kept_or_refused(house: House, client: AsyncOpenAI, start_worker: StartWorker) -> None:
    worker = await start_worker(vectors)
    house.show(worker, model_type=ModelType.EMBEDDING)
    answer = await lenient(client).embeddings.create(model="chat", input="a", dimensions=3)
    assert len(answer.data[0].embedding) == 3
    assert worker.asked[-1].json["dimensions"] == 3
    with pytest.raises(openai.BadRequestError, match="vectors of 3 numbers") as caught:
        await client.embeddings.create(model="chat", input="a", dimensions=2)
    assert caught.value.param == "dimensions"


@pytest.mark.parametrize("token_ids", [[1, 2], [[1, 2], [3]]])
async def test_token_ids_are_refused(
    house: House, client: AsyncOpenAI, start_worker: StartWorker, token_ids: Any
) -> None:
    house.show(await start_worker(vectors), model_type=ModelType.EMBEDDING)
    with pytest.raises(openai.BadRequestError, match="send texts") as caught:
        await client.embeddings.create(model="chat", input=token_ids)
    assert caught.value.param == "input[0]"


async def test_rerank(house: House, start_worker: StartWorker) -> None:
    house.show(await start_worker(scores), model_type=ModelType.RERANKING)
    documents = ["mid one", {"text": "the longest one"}, "x"]
    body = {"model": "chat", "query": "q", "documents": documents, "top_n": 2, "return_documents": True}
    answer = (await house.client.post("/v1/rerank", json=body)).json()
    assert answer["results"] == [
        {"index": 1, "relevance_score": 1.5, "document": {"text": "the longest one"}},
        {"index": 0, "relevance_score": 0.7, "document": {"text": "mid one"}},
    ]
    assert (answer["usage"]["total_tokens"], answer["meta"]["tokens"]["input_tokens"]) == (9, 9)
    plain = (await house.client.post("/v1/rerank", json={"model": "chat", "query": "q", "documents": ["a"]})).json()
    assert plain["results"] == [{"index": 0, "relevance_score": 0.1}]


async def test_an_error_within_a_stream_is_raised(house: House, client: AsyncOpenAI, start_worker: StartWorker) -> None:
    async def behave(asked: Asked) -> None:
        await asked.begin_stream()
        await asked.piece(chunk("Hel"))
        await asked.reset()

    house.show(await start_worker(behave))
    stream = await client.chat.completions.create(model="chat", messages=ASK, stream=True)
    with pytest.raises(openai.APIError) as caught:
        async for _ in stream:
            pass
    assert caught.value.code == "upstream_cut_off"
    assert (await house.record()).outcome is Outcome.ERROR


async def test_one_of_several_streams_that_breaks_ends_them_all(
    house: House, client: AsyncOpenAI, start_worker: StartWorker
) -> None:
    async def behave(asked: Asked) -> None:
        await asked.begin_stream()
        await asked.piece(chunk("Hel"))
        if asked.json["seed"] == 2:
            await asked.reset()
        else:
            await asked.hang_until_left()

    house.show(await start_worker(behave))
    stream = await client.chat.completions.create(model="chat", messages=ASK, n=3, seed=1, stream=True)
    with pytest.raises(openai.APIError):
        async for _ in stream:
            pass
    record = await house.record()
    assert (record.outcome, record.estimated) == (Outcome.ERROR, True)
    assert house.gateway.in_flight("w0") == 0


async def test_errors_are_the_clients_own_classes(house: House, client: AsyncOpenAI, start_worker: StartWorker) -> None:
    worker = await start_worker()
    house.show(worker)
    with pytest.raises(openai.NotFoundError) as unknown:
        await client.chat.completions.create(model="chatt", messages=ASK)
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    assert "chatt" in unknown.value.message
    with pytest.raises(openai.BadRequestError) as invalid:
        await client.chat.completions.create(model="chat", messages=ASK, temperature=3)
    assert (invalid.value.code, invalid.value.param, invalid.value.type) == (
        "invalid_value",
        "temperature",
        "invalid_request_error",
    )
    with pytest.raises(openai.AuthenticationError) as stranger:
        await client.with_options(api_key="wrong").models.list()
    assert stranger.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError):
        await client.post("/responses", body={}, cast_to=object)


async def test_a_limit_is_a_rate_limit_error_that_says_when_to_come_back(
    house: House, client: AsyncOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def verify(key: str) -> Any:
        raise RateLimited("Too many calls.", retry_after=7)

    monkeypatch.setattr(house.keys, "verify", verify)
    with pytest.raises(openai.RateLimitError) as caught:
        await client.chat.completions.create(model="chat", messages=ASK)
    assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "rate_limit_error")
    assert caught.value.response.headers["retry-after"] == "7"


async def test_no_capacity_keeps_its_retry_after(house: House, client: AsyncOpenAI) -> None:
    house.show(hopeless=True)
    with pytest.raises(openai.InternalServerError) as caught:
        await client.chat.completions.create(model="chat", messages=ASK)
    assert caught.value.status_code == 503
    assert int(caught.value.response.headers["retry-after"]) >= 1
    assert caught.value.type == "server_error"


async def test_models(house: House, client: AsyncOpenAI, start_worker: StartWorker) -> None:
    house.show(await start_worker(), context_window=4096)
    raw = await client.models.with_raw_response.list()
    assert raw.headers["cache-control"] == "no-store", "others may see other models"
    models = raw.parse().data
    assert [(model.id, model.object) for model in models] == [("chat", "model")]
    assert models[0].model_extra is not None
    assert models[0].model_extra["max_model_len"] == 4096
    assert (await client.models.retrieve("chat")).id == "chat"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("none/such")
