"""Calls that go well, verb by verb, over real sockets."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from gateway_house import CHAT_ANSWER, CHAT_END, Asked, House, StartWorker, chunk

from modelyard.domain.parameters import Parameter, ParameterSchema, ParameterType
from modelyard.domain.templates import EndpointProtocol, ModelType
from modelyard.domain.usage import Outcome, Verb
from modelyard.testing.gateway import make_route

MODEL = make_route().model_id
SGP = EndpointProtocol.SGP


def events(response: httpx.Response) -> list[Any]:
    """The objects in an event stream that has nothing but ``data:``."""
    assert response.headers["content-type"].startswith("text/event-stream")
    blocks = response.text.split("\n\n")
    assert blocks.pop() == ""
    assert all(block.startswith("data: ") for block in blocks)
    return [json.loads(block[6:]) for block in blocks]


async def test_a_chat(house: House, start_worker: StartWorker) -> None:
    worker = await start_worker()
    house.show(worker)
    response = await house.chat(
        chat_history=[{"role": "system", "content": "Be brief."}], temperature=0.5, stop_sequences=["x"]
    )
    assert response.status_code == 200
    assert response.json() == {
        "completions": [["Hi", ["Hello"]]],
        "choices": [{"index": 0, "logprobs": None}],
        "finish_reason": "stop",
        "prompt_tokens": 5,
        "response_tokens": 1,
    }
    assert response.headers["x-history-messages-dropped"] == "0"
    assert response.headers["x-prompt-tokens"] == "5"
    assert response.headers["x-request-id"]
    (asked,) = worker.asked
    assert asked.json == {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "temperature": 0.5,
        "stop": ["x"],
    }
    record = await house.record()
    assert (record.verb, record.outcome) == (Verb.CHAT_COMPLETION, Outcome.OK)
    assert (record.prompt_tokens, record.response_tokens, record.estimated) == (5, 1, False)
    assert record.request_id == response.headers["x-request-id"]


async def test_a_streamed_chat(house: House, start_worker: StartWorker) -> None:
    house.show(await start_worker())
    response = await house.chat(stream=True)
    first, second, last = events(response)
    assert first["completions"] == [["Hi", ["Hel"]]]
    assert second["completions"] == [["Hi", ["lo"]]]
    assert first["finish_reason"] is None
    assert last == {
        "completions": [["Hi", [""]]],
        "choices": [{"index": 0, "logprobs": None}],
        "finish_reason": "stop",
        "prompt_tokens": 5,
        "response_tokens": 2,
    }
    record = await house.record()
    assert (record.outcome, record.prompt_tokens, record.response_tokens) == (Outcome.OK, 5, 2)
    assert record.first_byte_seconds is not None
    assert record.first_byte_seconds <= record.total_seconds


async def test_a_stream_that_its_client_leaves_is_metered_for_what_was_generated(
    house: House, start_worker: StartWorker
) -> None:
    left = asyncio.Event()

    async def behave(asked: Asked) -> None:
        await asked.begin_stream()
        for text in ("one", "two", "three"):
            await asked.piece(chunk(text))
        await asked.hang_until_left()
        left.set()

    house.show(await start_worker(behave))
    body = {"prompt": "Hi", "chat_history": [], "stream": True}
    async with house.client.stream("POST", "/v4/models/chat/chat-completions", json=body) as response:
        async for line in response.aiter_lines():
            if "three" in line:
                break
    record = await house.record()
    assert (record.outcome, record.response_tokens, record.estimated) == (Outcome.CANCELLED, 3, True)
    assert record.prompt_tokens > 0
    async with asyncio.timeout(20):
        await left.wait()


async def test_one_write_for_each_read_of_the_worker(house: House, start_worker: StartWorker) -> None:
    async def behave(asked: Asked) -> None:
        await asked.stream(chunk("a") + chunk("b") + chunk("c"), CHAT_END)

    house.show(await start_worker(behave))
    async with house.client.stream(
        "POST", "/v4/models/chat/chat-completions", json={"prompt": "Hi", "chat_history": [], "stream": True}
    ) as response:
        sent = [piece async for piece in response.aiter_raw()]
    assert b"".join(sent).count(b"data: ") == 4
    assert len(sent) < 4


async def test_a_completion_model_completes_the_prompt_alone(house: House, start_worker: StartWorker) -> None:
    async def behave(asked: Asked) -> None:
        await asked.answer({"choices": [{"index": 0, "text": " blue", "finish_reason": "length"}]})

    worker = await start_worker(behave)
    house.show(worker, model_type=ModelType.COMPLETION)
    response = await house.chat(prompt="The sky is", chat_history=[{"role": "user", "content": "ignored"}])
    assert response.json()["completions"] == [["The sky is", [" blue"]]]
    (asked,) = worker.asked
    assert (asked.path, asked.json) == ("/v1/completions", {"prompt": "The sky is"})
    record = await house.record()
    assert record.estimated, "this worker told no counts"
    assert record.prompt_tokens > 0


async def test_completions_on_a_chat_model_send_the_bare_prompt(house: House, start_worker: StartWorker) -> None:
    async def behave(asked: Asked) -> None:
        await asked.answer({"choices": [{"index": 0, "text": "!", "finish_reason": "stop"}]})

    worker = await start_worker(behave)
    house.show(worker)
    response = await house.client.post("/v4/models/chat/completions", json={"prompt": "Hi"})
    assert response.json()["completions"] == [["Hi", ["!"]]]
    assert worker.asked[0].path == "/v1/completions"


async def test_completions_with_chat_settings_become_a_chat(house: House, start_worker: StartWorker) -> None:
    worker = await start_worker()
    house.show(worker)
    response = await house.client.post("/v4/models/chat/completions", json={"prompt": "Hi", "reasoning_effort": "low"})
    assert response.json()["completions"] == [["Hi", ["Hello"]]]
    assert worker.asked[0].path == "/v1/chat/completions"
    assert worker.asked[0].json["reasoning_effort"] == "low"


async def test_embeddings(house: House, start_worker: StartWorker) -> None:
    async def behave(asked: Asked) -> None:
        await asked.answer(b'{"embeddings":[["a",[0.1,2e-7]],["b",[1,0]]],"tokens_used":6}')

    worker = await start_worker(behave)
    house.show(worker, model_type=ModelType.EMBEDDING, protocol=SGP, predict_route="/embed")
    response = await house.client.post("/v4/models/chat/embeddings", json={"texts": ["a", "b"]})
    assert response.json() == {"embeddings": [["a", [0.1, 2e-7]], ["b", [1, 0]]], "tokens_used": 6}
    assert (worker.asked[0].path, worker.asked[0].json) == ("/embed", {"texts": ["a", "b"]})
    record = await house.record()
    assert (record.verb, record.prompt_tokens, record.response_tokens) == (Verb.EMBEDDING, 6, 0)


async def test_rerankings(house: House, start_worker: StartWorker) -> None:
    async def behave(asked: Asked) -> None:
        await asked.answer({"chunk_scores": [0.5, -1], "tokens_used": 9})

    worker = await start_worker(behave)
    house.show(worker, model_type=ModelType.RERANKING, protocol=SGP)
    body = {"query": "q", "chunks": ["a", "b"], "instruction": "strict"}
    response = await house.client.post("/v4/models/chat/rerankings", json=body)
    assert response.json() == {"chunk_scores": [0.5, -1.0], "tokens_used": 9}
    assert worker.asked[0].json == body


async def execute(house: House, body: Any) -> httpx.Response:
    return await house.client.post(f"/v4/models/{MODEL}/deployments/chat/execute", content=json.dumps(body))


async def test_execute_of_a_chat_model_is_native(house: House, start_worker: StartWorker) -> None:
    house.show(await start_worker())
    ask = {"messages": [{"role": "user", "content": "Hi"}]}
    response = await execute(house, ask)
    assert response.json()["message"] == {"role": "assistant", "content": "Hello"}
    assert response.json()["response_tokens"] == 1
    pieces = events(await execute(house, {**ask, "stream": True}))
    assert [piece.get("text", "") for piece in pieces] == ["Hel", "lo", ""]
    assert pieces[-1]["finish_reason"] == "stop"
    assert [record.verb for record in house.usage.records] == [Verb.EXECUTE, Verb.EXECUTE]


async def test_execute_completes_several_prompts(house: House, start_worker: StartWorker) -> None:
    async def behave(asked: Asked) -> None:
        text = asked.json["prompt"].upper()
        usage = {"prompt_tokens": 2, "completion_tokens": 3}
        await asked.answer({"choices": [{"index": 0, "text": text, "finish_reason": "stop"}], "usage": usage})

    house.show(await start_worker(behave), model_type=ModelType.COMPLETION)
    response = await execute(house, {"prompts": ["a", "b", "c"]})
    assert response.json()["completions"] == [["a", ["A"]], ["b", ["B"]], ["c", ["C"]]]
    assert (response.json()["prompt_tokens"], response.json()["response_tokens"]) == (6, 9)
    record = await house.record()
    assert (record.prompt_tokens, record.response_tokens) == (6, 9)


async def test_execute_of_an_embedding_model_takes_the_clients_stream_field(
    house: House, start_worker: StartWorker
) -> None:
    async def behave(asked: Asked) -> None:
        assert "stream" not in asked.json
        await asked.answer({"embeddings": [["a", [1.0]]]})

    house.show(await start_worker(behave), model_type=ModelType.EMBEDDING, protocol=SGP)
    response = await execute(house, {"texts": ["a"], "stream": False})
    assert response.json()["embeddings"] == [["a", [1.0]]]
    response = await execute(house, {"texts": ["a"], "stream": True})
    assert response.status_code == 422


@pytest.mark.parametrize("kind", [ModelType.GENERIC, ModelType.AGENT, ModelType.BUNDLE])
@pytest.mark.parametrize("body", [{"anything": [1, {"x": None}], "nul": "a\x00b"}, [1, 2], "text", 7, None])
async def test_execute_passes_any_json_through(
    house: House, start_worker: StartWorker, kind: ModelType, body: Any
) -> None:
    async def behave(asked: Asked) -> None:
        await asked.answer(b'{"echo": ' + asked.body + b"}", kind="application/json; x=1")

    house.show(await start_worker(behave), model_type=kind, protocol=SGP)
    response = await execute(house, body)
    assert response.json() == {"echo": body}
    assert response.headers["content-type"] == "application/json; x=1"
    assert (await house.record()).outcome is Outcome.OK


async def test_execute_passes_a_stream_through_unread(house: House, start_worker: StartWorker) -> None:
    async def behave(asked: Asked) -> None:
        assert asked.path == "/generate_streaming"
        await asked.stream(b"data: one\n\n", b"event: x\ndata: two\n\n")

    house.show(await start_worker(behave), model_type=ModelType.GENERIC, protocol=SGP)
    response = await execute(house, {"stream": True})
    assert response.text == "data: one\n\nevent: x\ndata: two\n\n"
    assert response.headers["content-type"].startswith("text/event-stream")


async def test_a_template_that_cannot_stream_answers_as_one_piece(house: House, start_worker: StartWorker) -> None:
    worker = await start_worker()
    house.show(worker, supports_streaming=False)
    first, last = events(await house.chat(stream=True))
    assert first["completions"] == [["Hi", ["Hello"]]]
    assert (last["finish_reason"], last["prompt_tokens"]) == ("stop", 5)
    assert "stream" not in worker.asked[0].json


async def test_request_parameters_are_checked_and_sent(house: House, start_worker: StartWorker) -> None:
    worker = await start_worker()
    schema = ParameterSchema((Parameter("min_p", ParameterType.FLOAT, "", required=True),))
    house.show(worker, request_schema=schema)
    response = await house.chat(model_request_parameters={"bindings": {"min_p": 0.1}})
    assert response.status_code == 200
    assert worker.asked[0].json["min_p"] == 0.1
    for bindings, name in (({}, "min_p"), ({"min_p": "x"}, "min_p"), ({"min_p": 1, "other": 1}, "other")):
        response = await house.chat(model_request_parameters={"bindings": bindings})
        assert response.status_code == 422
        assert response.json()["detail"][0]["loc"] == ["body", "model_request_parameters", "bindings", name]
    response = await house.chat()
    assert response.status_code == 422, "a required parameter may not be left out with the whole field"


async def test_logprobs(house: House, start_worker: StartWorker) -> None:
    token = {"id": 1, "token": "Hello", "logprob": -0.5, "bytes": [1], "top_logprobs": []}
    choice = {**CHAT_ANSWER["choices"][0], "logprobs": {"content": [token]}}  # type: ignore[dict-item]

    async def behave(asked: Asked) -> None:
        await asked.answer({"choices": [choice]})

    house.show(await start_worker(behave))
    (answered,) = (await house.chat(logprobs=True)).json()["choices"]
    (told,) = answered["logprobs"]["content"]
    assert told == {"token": "Hello", "logprob": -0.5, "bytes": [1], "top_logprobs": []}


async def test_bearer_keys_and_names_work_too(house: House, start_worker: StartWorker) -> None:
    route = house.show(await start_worker())
    for model in (route.deployment_id, route.deployment_name):
        async with httpx.AsyncClient(base_url=house.base_url, headers={"authorization": "Bearer test-key"}) as client:
            response = await client.post(f"/v4/models/{model}/chat-completions", json={"prompt": "Hi"})
        assert response.status_code == 200


async def test_connections_to_workers_are_kept(house: House, start_worker: StartWorker) -> None:
    worker = await start_worker()
    house.show(worker)
    for stream in (False, True, False, True):
        assert (await house.chat(stream=stream)).status_code == 200
    assert worker.connections == 1
