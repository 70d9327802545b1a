"""Workers that speak Cohere's API v2, called through the gateway, and the official client as a check of their words.

The worker is ``modelyard.testing.cohere_worker``; that Cohere's own client reads its answers shows that adapter and
worker do not merely agree with each other.
"""

import json
import threading
from collections.abc import Iterator
from typing import Any

import cohere
import httpx
import pytest
from gateway_house import House

from modelyard.domain.parameters import Parameter, ParameterSchema, ParameterType
from modelyard.domain.routes import Endpoint
from modelyard.domain.templates import EndpointProtocol, ModelType
from modelyard.testing.cohere_worker import Server, Worker
from modelyard.testing.gateway import make_route

TOOL = {
    "type": "function",
    "function": {"name": "look_up", "description": "Look it up", "parameters": {"type": "object", "properties": {}}},
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = Server(("127.0.0.1", 0), Worker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(address: str) -> cohere.ClientV2:
    return cohere.ClientV2(api_key="none", base_url=address)


def show(house: House, address: str, kind: ModelType, **changes: Any) -> None:
    route = make_route(
        endpoints=(Endpoint("w0", address),), protocol=EndpointProtocol.COHERE, model_type=kind, **changes
    )
    house.routes.put(route)


def events(response: httpx.Response) -> list[Any]:
    return [json.loads(block[6:]) for block in response.text.split("\n\n") if block]


async def test_a_chat_whole_and_streamed(house: House, address: str) -> None:
    show(house, address, ModelType.CHAT_COMPLETION)
    whole = (await house.chat(prompt="one two three", max_tokens=2)).json()
    assert whole["completions"] == [["one two three", ["one two"]]]
    assert (whole["finish_reason"], whole["prompt_tokens"], whole["response_tokens"]) == ("length", 3, 2)
    streamed = events(await house.chat(prompt="one two three", max_tokens=2, stream=True))
    assert [event["completions"][0][1][0] for event in streamed] == ["one", " two", ""]
    assert {name: streamed[-1][name] for name in ("finish_reason", "prompt_tokens", "response_tokens")} == {
        "finish_reason": "length",
        "prompt_tokens": 3,
        "response_tokens": 2,
    }
    assert [(record.prompt_tokens, record.estimated) for record in house.usage.records] == [(3, False), (3, False)]


async def test_what_was_changed_for_the_worker_is_told(house: House, address: str) -> None:
    show(house, address, ModelType.CHAT_COMPLETION)
    assert "x-parameters-adjusted" not in (await house.chat(prompt="one", top_p=0.5)).headers
    for stream in (False, True):
        answer = await house.chat(prompt="one", top_p=1.0, stream=stream)
        assert answer.headers["x-parameters-adjusted"] == "top_p: 1 is out of range here, 0.99 was sent"


async def test_a_bare_prompt_becomes_a_users_message(house: House, address: str) -> None:
    show(house, address, ModelType.CHAT_COMPLETION)
    response = await house.client.post("/v4/models/chat/completions", json={"prompt": "say this"})
    assert response.json()["completions"] == [["say this", ["say this"]]]


async def test_tools_are_called_whole_and_streamed(house: House, address: str) -> None:
    show(house, address, ModelType.CHAT_COMPLETION)
    route = make_route()
    path = f"/v4/models/{route.model_id}/deployments/chat/execute"
    ask = {"messages": [{"role": "user", "content": "Paris"}], "tools": [TOOL]}
    whole = (await house.client.post(path, json=ask)).json()
    call = {"id": "look_up_1", "type": "function", "function": {"name": "look_up", "arguments": '{"about": "Paris"}'}}
    assert whole["message"]["tool_calls"] == [call]
    assert (whole["finish_reason"], whole["reasoning"]) == ("tool_calls", "I will use look_up.")
    pieces = [piece for event in events(await house.client.post(path, json={**ask, "stream": True}))
              for piece in event.get("tool_calls") or ()]  # fmt: skip
    assert "".join(piece.get("arguments", "") for piece in pieces) == call["function"]["arguments"]
    answered = [*ask["messages"], {"role": "assistant", "content": "", "tool_calls": [call]}]
    answered.append({"role": "tool", "content": "sunny", "tool_call_id": "look_up_1"})
    last = (await house.client.post(path, json={**ask, "messages": answered})).json()
    assert last["message"]["content"] == "sunny"


async def test_more_texts_than_a_request_may_have_go_in_batches(house: House, address: str) -> None:
    show(house, address, ModelType.EMBEDDING)
    texts = [f"text {'a' * number}" for number in range(250)]
    answer = (await house.client.post("/v4/models/chat/embeddings", json={"texts": texts})).json()
    assert [text for text, _ in answer["embeddings"]] == texts
    assert [vector[0] for _, vector in answer["embeddings"]] == [float(len(text)) for text in texts]
    assert answer["tokens_used"] == sum(len(text.split()) for text in texts)
    assert (await house.record()).prompt_tokens == answer["tokens_used"]


async def test_scores_in_the_order_of_the_chunks_and_tokens_estimated(house: House, address: str) -> None:
    show(house, address, ModelType.RERANKING)
    body = {"query": "blue sky", "chunks": ["green grass", "the sky is blue", "blue sea"]}
    answer = (await house.client.post("/v4/models/chat/rerankings", json=body)).json()
    assert answer["chunk_scores"] == [0.0, 1.0, 0.5]
    assert answer.get("tokens_used") is None
    assert (await house.record()).estimated


async def test_what_the_worker_refuses_is_told(house: House, address: str) -> None:
    schema = ParameterSchema((Parameter("input_type", ParameterType.STR, "", False),))
    show(house, address, ModelType.EMBEDDING, request_schema=schema)
    body = {"texts": ["a"], "model_request_parameters": {"bindings": {"input_type": ""}}}
    response = await house.client.post("/v4/models/chat/embeddings", json=body)
    assert response.status_code == 422
    assert "input_type is required" in response.text


def test_the_official_client_reads_a_chat(client: cohere.ClientV2) -> None:
    answer = client.chat(model="m", messages=[{"role": "user", "content": "one two three"}], max_tokens=2)
    assert answer.message.content is not None
    assert answer.message.content[0].text == "one two"
    assert (answer.finish_reason, answer.usage.billed_units.input_tokens) == ("MAX_TOKENS", 3)


def test_the_official_client_reads_a_stream(client: cohere.ClientV2) -> None:
    stream = list(client.chat_stream(model="m", messages=[{"role": "user", "content": "one two"}]))
    assert [event.type for event in stream] == [
        "message-start", "content-start", "content-delta", "content-delta", "content-end", "message-end",
    ]  # fmt: skip
    assert "".join(event.delta.message.content.text for event in stream if event.type == "content-delta") == "one two"
    assert stream[-1].delta.usage.billed_units.output_tokens == 2


def test_the_official_client_reads_tool_calls(client: cohere.ClientV2) -> None:
    ask = {"model": "m", "messages": [{"role": "user", "content": "Paris"}], "tools": [TOOL]}
    (call,) = client.chat(**ask).message.tool_calls
    stream = list(client.chat_stream(**ask))
    (begun,) = [event.delta.message.tool_calls for event in stream if event.type == "tool-call-start"]
    arguments = [e.delta.message.tool_calls.function.arguments for e in stream if e.type == "tool-call-delta"]
    assert (begun.id, begun.function.name) == (call.id, call.function.name)
    assert "".join(arguments) == call.function.arguments


def test_the_official_client_reads_embeddings_scores_and_errors(client: cohere.ClientV2) -> None:
    vectors = client.embed(model="m", texts=["a"], input_type="search_document", embedding_types=["float"])
    assert vectors.embeddings.float_ == [[1.0, 1.0, 0.0, 0.0, 0.0, 0.0]]
    ranked = client.rerank(model="m", query="b", documents=["a", "b"])
    assert [(item.index, item.relevance_score) for item in ranked.results] == [(1, 1.0), (0, 0.0)]
    with pytest.raises(cohere.BadRequestError, match="query is required"):
        client.rerank(model="m", query="", documents=["a"])
