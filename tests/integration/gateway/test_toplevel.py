"""The top-level calls through the official client, unmodified and strict."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import scale_gp
from gateway_house import Asked, House, StartWorker
from scale_gp import AsyncSGPClient

from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, Role
from modelyard.domain.deployments import DeploymentStatus
from modelyard.domain.parameters import Parameter, ParameterSchema, ParameterType
from modelyard.domain.templates import EndpointProtocol, ModelType
from modelyard.testing.gateway import ACCOUNT, KEY, endpoints, make_caller, make_route

USER = {"role": "user", "content": "Hi"}


@pytest.fixture
async def client(house: House) -> AsyncIterator[AsyncSGPClient]:
    async with AsyncSGPClient(
        base_url=house.base_url, api_key=KEY, account_id=ACCOUNT, max_retries=0, _strict_response_validation=True
    ) as made:
        yield made


async def test_a_chat_by_the_models_own_name(house: House, client: AsyncSGPClient, start_worker: StartWorker) -> None:
    worker = await start_worker()
    house.show(worker)
    answer = await client.chat_completions.create(model="chat-model", messages=[USER])
    assert answer.chat_completion.message.content == "Hello"
    assert answer.chat_completion.message.role == "assistant"
    assert answer.chat_completion.finish_reason == "stop"
    assert answer.token_usage.model_dump() == {"prompt": 5, "completion": 1, "total": 6}
    assert worker.asked[0].json["temperature"] == 0.2, "what the client promises where nothing is said"
    (record,) = house.usage.records
    assert (record.model_name, record.verb, record.prompt_tokens) == ("chat-model", "chat_completion", 5)


async def test_a_streamed_chat(house: House, client: AsyncSGPClient, start_worker: StartWorker) -> None:
    house.show(await start_worker())
    stream = await client.chat_completions.create(model="chat-model", messages=[USER], stream=True)
    pieces = [piece async for piece in stream]
    assert [piece.completions[0][0] for piece in pieces] == ["Hi"] * len(pieces)
    texts: list[Any] = [piece.completions[0][1] for piece in pieces]
    assert "".join(text for (text,) in texts) == "Hello"
    assert (pieces[-1].finish_reason, pieces[-1].prompt_tokens, pieces[-1].response_tokens) == ("stop", 5, 2)


async def test_instructions_memory_and_parameters(
    house: House, client: AsyncSGPClient, start_worker: StartWorker
) -> None:
    worker = await start_worker()
    house.show(worker)
    messages = [{"role": role, "content": f"{role} {turn}"} for turn in range(3) for role in ("user", "assistant")]
    await client.chat_completions.create(
        model="chat-model",
        messages=[*messages, USER],
        instructions="Be brief.",
        memory_strategy={"name": "last_k", "params": {"k": 3}},
        model_parameters={
            "temperature": 0.7,
            "max_tokens": 9,
            "stop_sequences": ["x"],
            "top_p": 0.5,
            "top_k": 4,
            "frequency_penalty": 0.1,
            "presence_penalty": 0.2,
        },
    )
    asked = worker.asked[0].json
    assert [message["content"] for message in asked["messages"]] == ["Be brief.", "user 2", "assistant 2", "Hi"]
    assert asked["messages"][0]["role"] == "system"
    sent = {name: asked[name] for name in ("temperature", "max_tokens", "stop", "top_p", "top_k")}
    assert sent == {"temperature": 0.7, "max_tokens": 9, "stop": ["x"], "top_p": 0.5, "top_k": 4}
    assert (asked["frequency_penalty"], asked["presence_penalty"]) == (0.1, 0.2)


async def test_a_systems_message_is_never_forgotten(
    house: House, client: AsyncSGPClient, start_worker: StartWorker
) -> None:
    worker = await start_worker()
    house.show(worker)
    messages = [{"role": "system", "content": "Rules"}, {"role": "user", "content": "one"}, USER]
    await client.chat_completions.create(model="chat-model", messages=messages, memory_strategy={"params": {"k": 1}})
    assert [message["content"] for message in worker.asked[0].json["messages"]] == ["Rules", "Hi"]


async def test_a_completion(house: House, client: AsyncSGPClient, start_worker: StartWorker) -> None:
    async def behave(asked: Asked) -> None:
        if asked.json.get("stream"):
            await asked.stream(
                b'data: {"choices":[{"index":0,"text":" blue"}]}\n\n',
                b'data: {"choices":[{"index":0,"text":"","finish_reason":"length"}],'
                b'"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n',
                b"data: [DONE]\n\n",
            )
        else:
            choice = {"index": 0, "text": " blue", "finish_reason": "length"}
            await asked.answer({"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 1}})

    for model_type in (ModelType.COMPLETION, ModelType.CHAT_COMPLETION):
        house.show(await start_worker(behave), model_type=model_type)
        answer = await client.completions.create(model="chat-model", prompt="The sky is")
        assert (answer.completion.text, answer.completion.finish_reason) == (" blue", "length")
        assert answer.token_usage.total == 4
        stream = await client.completions.create(model="chat-model", prompt="The sky is", stream=True)
        pieces = [piece async for piece in stream]
        assert pieces[0].completions == [["The sky is", [" blue"]]]
        assert pieces[-1].finish_reason == "length"


async def test_a_completion_with_images(house: House, client: AsyncSGPClient, start_worker: StartWorker) -> None:
    worker = await start_worker()
    house.show(worker, accepts_images=True)
    images: list[Any] = [{"image_url": "data:image/png;base64,AA==", "detail": "low"}]
    answer = await client.completions.create(model="chat-model", prompt="What is it?", images=images)
    assert answer.completion.text == "Hello"
    text, image = worker.asked[0].json["messages"][0]["content"]
    assert text == {"type": "text", "text": "What is it?"}
    assert image["image_url"] == {"url": "data:image/png;base64,AA==", "detail": "low"}
    house.show(worker)
    with pytest.raises(scale_gp.UnprocessableEntityError, match="reads text only"):
        await client.completions.create(model="chat-model", prompt="What is it?", images=images)


async def test_the_newest_ready_deployment_answers(
    house: House, client: AsyncSGPClient, start_worker: StartWorker
) -> None:
    worker = await start_worker()
    there = endpoints(worker.address)
    house.routes.put(
        make_route(deployment_id="down", deployment_name="down", status=DeploymentStatus.UPDATE_FAILED),
        make_route(deployment_id="up", deployment_name="up", endpoints=there),
    )
    await client.chat_completions.create(model="chat-model", messages=[USER])
    assert house.usage.records[0].deployment_id == "up"


async def test_a_model_without_a_deployment_is_told_apart(house: House, client: AsyncSGPClient) -> None:
    house.routes.models["fresh"] = "the-id"
    with pytest.raises(scale_gp.NotFoundError) as raised:
        await client.chat_completions.create(model="fresh", messages=[USER])
    assert raised.value.body["code"] == "model_not_deployed"
    assert "POST /v4/models/the-id/deployments" in raised.value.message
    with pytest.raises(scale_gp.NotFoundError) as raised:
        await client.completions.create(model="never", prompt="x")
    assert raised.value.body["code"] == "model_not_found"


async def test_near_names_are_suggested(house: House, client: AsyncSGPClient, start_worker: StartWorker) -> None:
    house.show(await start_worker())
    with pytest.raises(scale_gp.NotFoundError, match=r"Did you mean 'chat-model'"):
        await client.chat_completions.create(model="chat-modle", messages=[USER])


async def test_the_account_in_the_body_pays(house: House, client: AsyncSGPClient, start_worker: StartWorker) -> None:
    other = "99999999-9999-4999-8999-999999999999"
    house.keys.callers[KEY] = make_caller({ACCOUNT: Role.MEMBER, other: Role.MEMBER})
    house.show(await start_worker(), account_id=PLATFORM_ACCOUNT_ID)
    await client.chat_completions.create(model="chat-model", messages=[USER], account_id=other)
    await client.chat_completions.create(model="chat-model", messages=[USER])
    assert [record.account_id for record in house.usage.records] == [other, ACCOUNT]
    with pytest.raises(scale_gp.NotFoundError, match="no account"):
        await client.chat_completions.create(model="chat-model", messages=[USER], account_id="nobody's")


@pytest.mark.parametrize(
    ("path", "change", "loc"),
    [
        ("chat-completions", {"messages": []}, ["messages"]),
        ("chat-completions", {"messages": [{"role": "tool", "content": "x"}]}, ["messages", 0, "role"]),
        ("chat-completions", {"model": ""}, ["model"]),
        ("chat-completions", {"model": None}, ["model"]),
        ("chat-completions", {"colour": 1}, ["colour"]),
        ("chat-completions", {"memory_strategy": {"params": {"k": 0}}}, ["memory_strategy", "params", "k"]),
        ("chat-completions", {"memory_strategy": {"name": "all", "params": {"k": 1}}}, ["memory_strategy", "name"]),
        ("chat-completions", {"model_parameters": {"temperature": 3}}, ["model_parameters", "temperature"]),
        ("chat-completions", {"model_parameters": {"topP": 2}}, ["model_parameters", "topP"]),
        ("chat-completions", {"model_parameters": {"heat": 2}}, ["model_parameters", "heat"]),
        ("completions", {"prompt": 1}, ["prompt"]),
        ("completions", {"images": [{"url": "x"}]}, ["images", 0, "url"]),
    ],
)
async def test_what_is_wrong_is_named(
    house: House, start_worker: StartWorker, path: str, change: dict[str, Any], loc: list[Any]
) -> None:
    house.show(await start_worker())
    plain = {"messages": [USER]} if path == "chat-completions" else {"prompt": "x"}
    answer = await house.client.post(f"/v4/{path}", json={"model": "chat-model", **plain, **change})
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"] == ["body", *loc]


async def test_two_ways_to_instruct_are_one_too_many(house: House, start_worker: StartWorker) -> None:
    house.show(await start_worker())
    messages = [{"role": "system", "content": "a"}, USER]
    body = {"model": "chat-model", "messages": messages, "instructions": "b"}
    answer = await house.client.post("/v4/chat-completions", json=body)
    assert answer.status_code == 422
    assert "send one of them" in answer.text


@pytest.mark.parametrize(
    ("path", "model_type", "right"),
    [
        ("chat-completions", ModelType.COMPLETION, "POST /v4/completions"),
        ("completions", ModelType.EMBEDDING, "/embeddings"),
        ("completions", ModelType.RERANKING, "POST /v4/chunks/rank"),
        ("chat-completions", ModelType.AGENT, "/execute"),
    ],
)
async def test_a_model_of_another_kind_is_refused_with_the_right_call(
    house: House, start_worker: StartWorker, path: str, model_type: ModelType, right: str
) -> None:
    house.show(await start_worker(), model_type=model_type)
    plain = {"messages": [USER]} if path == "chat-completions" else {"prompt": "x"}
    answer = await house.client.post(f"/v4/{path}", json={"model": "chat-model", **plain})
    assert (answer.status_code, answer.json()["code"]) == (422, "wrong_verb")
    assert answer.json()["detail"][0]["loc"] == ["body", "model"]
    assert right in answer.text


async def test_request_parameters_are_checked(house: House, start_worker: StartWorker) -> None:
    schema = ParameterSchema((Parameter("tone", ParameterType.STR, "How it sounds.", required=True),))
    house.show(await start_worker(), request_schema=schema)
    body = {"model": "chat-model", "messages": [USER]}
    missing = await house.client.post("/v4/chat-completions", json=body)
    assert missing.json()["detail"][0]["loc"][-1] == "tone"
    given = {**body, "model_request_parameters": {"bindings": {"tone": "kind"}}}
    assert (await house.client.post("/v4/chat-completions", json=given)).status_code == 200


# Ranking

CHUNKS: list[dict[str, Any]] = [
    {"chunk_id": "a", "text": "nothing of it", "score": 0.9, "metadata": {"page": 1}, "embedding": [0.5, 1.0]},
    {"chunk_id": "b", "text": "the cat sat on the mat", "score": 0.1, "title": "Cats"},
    {"chunk_id": "c", "text": "a cat", "score": 0.2, "user_supplied_metadata": {"x": [1]}},
]
SCORES = {"nothing of it": -3.5, "the cat sat on the mat": 7.25, "a cat": 1.0}
RERANKER: dict[str, Any] = {"model_type": ModelType.RERANKING, "protocol": EndpointProtocol.SGP}


async def rerank(asked: Asked) -> None:
    await asked.answer({"chunk_scores": [SCORES[chunk] for chunk in asked.json["chunks"]], "tokens_used": 12})


@pytest.mark.parametrize(
    "strategy",
    [
        {"method": "cross_encoder"},
        {"method": "cross_encoder", "params": {"cross_encoder_model": "cross-encoder/ms-marco-MiniLM-L-12-v2"}},
        {"method": "model", "params": {"model_deployment_id": "22222222-2222-4222-8222-222222222222"}},
        {"method": "model", "params": {"base_model_name": "cross-encoder/ms-marco-MiniLM-L-12-v2"}},
    ],
)
async def test_chunks_ranked_by_a_model(
    house: House, client: AsyncSGPClient, start_worker: StartWorker, strategy: Any
) -> None:
    name = "cross-encoder/ms-marco-MiniLM-L-12-v2"
    house.show(await start_worker(rerank), deployment_name="minilm-bi-encoder", model_name=name, **RERANKER)
    answer = await client.chunks.rank(query="cat", relevant_chunks=CHUNKS, rank_strategy=strategy)
    assert [(chunk.chunk_id, chunk.score) for chunk in answer.relevant_chunks] == [("b", 7.25), ("c", 1), ("a", -3.5)]
    first, second, last = answer.relevant_chunks
    assert (first.title, second.user_supplied_metadata) == ("Cats", {"x": [1]})
    assert (last.metadata, last.embedding) == ({"page": 1}, [0.5, 1.0])
    (record,) = house.usage.records
    assert (record.verb, record.prompt_tokens) == ("reranking", 12)


async def test_the_best_of_them(house: House, client: AsyncSGPClient, start_worker: StartWorker) -> None:
    house.show(await start_worker(rerank), deployment_name="minilm-bi-encoder", **RERANKER)
    for top_k, expected in ((1, ["b"]), (2, ["b", "c"]), (99, ["b", "c", "a"])):
        answer = await client.chunks.rank(
            query="cat", relevant_chunks=CHUNKS, rank_strategy={"method": "cross_encoder"}, top_k=top_k
        )
        assert [chunk.chunk_id for chunk in answer.relevant_chunks] == expected


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        # One of six words of b is the query's only word, one of two of c.
        ({}, [("c", 2 / 3), ("b", 2 / 7), ("a", 0)]),
        ({"metric": "rouge1", "score": "recall"}, [("b", 1), ("c", 1), ("a", 0)]),
        ({"metric": "rougeLsum", "score": "precision"}, [("c", 1 / 2), ("b", 1 / 6), ("a", 0)]),
        ({"metric": "rouge2"}, [("a", 0), ("b", 0), ("c", 0)]),
    ],
)
async def test_chunks_ranked_by_rouge(house: House, client: AsyncSGPClient, params: Any, expected: Any) -> None:
    answer = await client.chunks.rank(
        query="cat", relevant_chunks=CHUNKS, rank_strategy={"method": "rouge", "params": params}
    )
    found = [(chunk.chunk_id, pytest.approx(chunk.score)) for chunk in answer.relevant_chunks]
    assert found == expected
    assert house.usage.records == [], "no model was called"


async def test_nothing_to_rank(house: House, client: AsyncSGPClient, start_worker: StartWorker) -> None:
    house.show(await start_worker(rerank), deployment_name="minilm-bi-encoder", **RERANKER)
    for method in ("cross_encoder", "rouge"):
        answer = await client.chunks.rank(query="cat", relevant_chunks=[], rank_strategy={"method": method})
        assert answer.relevant_chunks == []


async def test_a_viewer_ranks_nothing(house: House, client: AsyncSGPClient) -> None:
    house.keys.callers[KEY] = make_caller({ACCOUNT: Role.VIEWER})
    with pytest.raises(scale_gp.PermissionDeniedError):
        await client.chunks.rank(query="cat", relevant_chunks=CHUNKS, rank_strategy={"method": "rouge"})


async def test_a_cross_encoder_that_is_not_there_is_not_replaced(
    house: House, client: AsyncSGPClient, start_worker: StartWorker
) -> None:
    house.show(await start_worker(rerank), deployment_name="minilm-bi-encoder", **RERANKER)
    with pytest.raises(scale_gp.NotFoundError, match="template cross-encoder-reranker") as raised:
        await client.chunks.rank(
            query="cat",
            relevant_chunks=CHUNKS,
            rank_strategy={"method": "cross_encoder", "params": {"cross_encoder_model": "Qwen/Qwen3-Reranker-8B"}},
        )
    assert raised.value.body["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"rank_strategy": {"params": {}}}, ["rank_strategy", "method"]),
        ({"rank_strategy": {"method": "luck"}}, ["rank_strategy", "method"]),
        ({"rank_strategy": {"method": "rouge", "params": {"metric": "bleu"}}}, ["rank_strategy", "params", "metric"]),
        ({"rank_strategy": {"method": "rouge", "params": {"score": "f1"}}}, ["rank_strategy", "params", "score"]),
        ({"rank_strategy": {"method": "model", "params": {}}}, ["rank_strategy", "params"]),
        (
            {"rank_strategy": {"method": "azure_ai_foundry", "params": {"endpoint_url": "http://x"}}},
            ["rank_strategy", "method"],
        ),
        (
            {"rank_strategy": {"method": "model", "params": {"base_model_name": "chat"}}},
            ["rank_strategy", "params", "base_model_name"],
        ),
        ({"top_k": 0}, ["top_k"]),
        ({"relevant_chunks": [{"chunk_id": "a", "text": "x"}]}, ["relevant_chunks", 0, "score"]),
        ({"relevant_chunks": [{"chunk_id": "a", "text": "x", "score": 1, "y": 1}]}, ["relevant_chunks", 0, "y"]),
    ],
)
async def test_what_is_wrong_with_a_ranking_is_named(
    house: House, start_worker: StartWorker, change: dict[str, Any], loc: list[Any]
) -> None:
    house.show(await start_worker())
    body = {"query": "cat", "relevant_chunks": CHUNKS, "rank_strategy": {"method": "rouge"}, **change}
    answer = await house.client.post("/v4/chunks/rank", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"] == ["body", *loc], json.dumps(answer.json())
