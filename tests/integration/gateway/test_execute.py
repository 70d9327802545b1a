"""Execute takes what a model's request_schema describes, and answers what its response_schema describes."""

from typing import Any

import jsonschema
import pytest
from gateway_house import CHAT_ANSWER, Asked, House, StartWorker

from modelyard.domain.templates import EndpointProtocol, ModelType
from modelyard.http.api.schemas import request_schema, response_schema

EXECUTE = "/v4/models/33333333-3333-4333-8333-333333333333/deployments/chat/execute"
USER = {"role": "user", "content": "Hi"}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
PARTS = [{"type": "text", "text": "What"}, {"text": " is it?"}]

TAKEN: list[tuple[ModelType, dict[str, Any]]] = [
    (ModelType.CHAT_COMPLETION, {"messages": [USER]}),
    (ModelType.CHAT_COMPLETION, {"messages": [{"role": "user", "content": PARTS}], "temperature": 0, "seed": 1}),
    (ModelType.CHAT_COMPLETION, {"messages": [USER], "tools": [TOOL], "tool_choice": "auto"}),
    (
        ModelType.CHAT_COMPLETION,
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                USER,
                {"role": "assistant", "content": "", "tool_calls": [CALL]},
                {"role": "tool", "content": "seen", "tool_call_id": "c1"},
            ],
            "max_tokens": 5,
            "stop_sequences": ["x"],
            "response_format": {"type": "json_object"},
        },
    ),
    (ModelType.COMPLETION, {"prompts": ["The sky is"]}),
    (ModelType.COMPLETION, {"prompts": ["a", "b"], "temperature": 1.5, "top_p": 0.1, "stream": False}),
    (ModelType.EMBEDDING, {"texts": ["a", ""]}),
    (ModelType.RERANKING, {"query": "q", "chunks": ["a", "b"]}),
]

REFUSED: list[tuple[ModelType, dict[str, Any]]] = [
    (ModelType.CHAT_COMPLETION, {}),
    (ModelType.CHAT_COMPLETION, {"messages": []}),
    (ModelType.CHAT_COMPLETION, {"messages": [{"role": "narrator", "content": "x"}]}),
    (ModelType.CHAT_COMPLETION, {"messages": [USER], "temperature": 3}),
    (ModelType.CHAT_COMPLETION, {"messages": [USER], "prompt": "x"}),
    (ModelType.COMPLETION, {"prompt": "x"}),
    (ModelType.COMPLETION, {"prompts": []}),
    (ModelType.COMPLETION, {"prompts": ["x"], "max_tokens": 0}),
    (ModelType.EMBEDDING, {"texts": []}),
    (ModelType.EMBEDDING, {"texts": "a"}),
    (ModelType.EMBEDDING, {"texts": ["a"], "colour": 1}),
    (ModelType.RERANKING, {"query": "q"}),
    (ModelType.RERANKING, {"query": "q", "chunks": [1]}),
]


async def answer(asked: Asked) -> None:
    """A worker of every type at once."""
    body = asked.json
    if asked.path == "/v1/chat/completions":
        await asked.answer(CHAT_ANSWER)
    elif asked.path == "/v1/completions":
        choice = {"index": 0, "text": " blue", "finish_reason": "length"}
        await asked.answer({"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 1}})
    elif "texts" in body:
        await asked.answer({"embeddings": [[text, [0.5, 1]] for text in body["texts"]], "tokens_used": 3})
    else:
        await asked.answer({"chunk_scores": [0.5 for _ in body["chunks"]], "tokens_used": 4})


def show(house: House, worker: Any, model_type: ModelType) -> None:
    generates = model_type in (ModelType.CHAT_COMPLETION, ModelType.COMPLETION)
    house.show(worker, model_type=model_type, protocol=EndpointProtocol.VLLM if generates else EndpointProtocol.SGP)


@pytest.mark.parametrize(("model_type", "body"), TAKEN)
async def test_what_fits_the_schema_is_taken(
    house: House, start_worker: StartWorker, model_type: ModelType, body: dict[str, Any]
) -> None:
    jsonschema.validate(body, request_schema(model_type))
    show(house, await start_worker(answer), model_type)
    answered = await house.client.post(EXECUTE, json=body)
    assert answered.status_code == 200, answered.text
    jsonschema.validate(answered.json(), response_schema(model_type))


@pytest.mark.parametrize(("model_type", "body"), REFUSED)
async def test_what_does_not_fit_the_schema_is_refused_by_name(
    house: House, start_worker: StartWorker, model_type: ModelType, body: dict[str, Any]
) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(body, request_schema(model_type))
    worker = await start_worker(answer)
    show(house, worker, model_type)
    refused = await house.client.post(EXECUTE, json=body)
    assert refused.status_code == 422, refused.text
    assert refused.json()["detail"][0]["loc"][0] == "body"
    assert worker.asked == []


@pytest.mark.parametrize("model_type", [ModelType.GENERIC, ModelType.AGENT, ModelType.BUNDLE])
def test_types_of_ones_own_say_that_anything_goes(model_type: ModelType) -> None:
    for body in ({"a": 1}, [], None, "text"):
        jsonschema.validate(body, request_schema(model_type))
        jsonschema.validate(body, response_schema(model_type))
