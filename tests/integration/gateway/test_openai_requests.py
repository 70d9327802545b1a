"""What /v1 refuses, tolerates and passes on: every error in OpenAI's shape, naming the field in OpenAI's words."""

import base64
import json
from typing import Any

import pytest
from gateway_house import House, StartWorker
from openai_answers import scores, vectors

from modelyard.domain.parameters import Parameter, ParameterSchema, ParameterType
from modelyard.domain.templates import EndpointProtocol, ModelType
from modelyard.testing.gateway import make_route

ASK = [{"role": "user", "content": "Hi"}]
CHAT = {"model": "chat", "messages": ASK}
TOOL = {"type": "function", "function": {"name": "look"}}
PIXEL = base64.b64encode(b"not really an image").decode()


def image(url: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}


REFUSED: list[tuple[dict[str, Any], str | None, str]] = [
    ({"temperature": 2.5}, "temperature", "invalid_value"),
    ({"temperature": "hot"}, "temperature", "invalid_value"),
    ({"n": 0}, "n", "invalid_value"),
    ({"n": 129}, "n", "invalid_value"),
    ({"stop": ["a"] * 5}, "stop", "invalid_value"),
    ({"stop": ""}, "stop", "invalid_value"),
    ({"top_logprobs": 21}, "top_logprobs", "invalid_value"),
    ({"top_logprobs": 2, "logprobs": False}, "top_logprobs", "unsupported_parameter"),
    ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens", "invalid_value"),
    ({"logit_bias": {"50256": -100}}, "logit_bias", "unsupported_parameter"),
    ({"functions": [{"name": "x"}]}, "functions", "unsupported_parameter"),
    ({"function_call": {"name": "x"}}, "function_call", "unsupported_parameter"),
    ({"modalities": ["text", "audio"]}, "modalities", "unsupported_parameter"),
    ({"audio": {"voice": "x"}}, "audio", "unsupported_parameter"),
    ({"prediction": {"type": "content", "content": "x"}}, "prediction", "unsupported_parameter"),
    ({"web_search_options": {}}, "web_search_options", "unsupported_parameter"),
    ({"verbosity": "low"}, "verbosity", "unsupported_parameter"),
    ({"reasoning_effort": "extreme"}, "reasoning_effort", "invalid_value"),
    ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
    ({"temprature": 1}, "temprature", "unknown_parameter"),
    ({"messages": []}, "messages", "invalid_value"),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "invalid_value"),
    ({"messages": [{"role": "function", "content": "x", "name": "y"}]}, "messages[0]", "unsupported_parameter"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", "missing_required_parameter"),
    ({"messages": [{"role": "user", "content": [{"type": "x"}]}]}, "messages[0].content[0]", "unsupported_parameter"),
    ({"messages": [{"role": "system", "content": [{"type": "image_url"}]}]}, "messages[0].content[0]", "invalid_value"),
    ({"messages": [{"role": "user", "content": "a\0b"}]}, "messages[0].content", "invalid_value"),
    (image("ftp://x/y.png"), "messages[0].content[0].image_url.url", "invalid_value"),
    (image("data:image/png,abc"), "messages[0].content[0].image_url.url", "invalid_value"),
    (image("data:image/png;base64,a"), "messages[0].content[0].image_url.url", "invalid_value"),
    ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice", "invalid_value"),
    ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type", "invalid_value"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name", "missing_required_parameter"),
    ({"response_format": {"type": "json_schema"}}, "response_format", "invalid_value"),
    ({"chat_template_kwargs": {"messages": []}}, None, "invalid_value"),
    ({"model_request_parameters": {"bindings": {"x": 1}}}, "model_request_parameters.bindings.x", "invalid_parameters"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "param", "code"), REFUSED, ids=lambda value: json.dumps(value)[:60])
async def test_what_a_chat_cannot_honour(
    house: House, start_worker: StartWorker, change: dict[str, Any], param: str | None, code: str
) -> None:
    worker = await start_worker()
    house.show(worker, accepts_images=True)
    response = await house.client.post("/v1/chat/completions", json={**CHAT, **change})
    error = response.json()["error"]
    assert response.status_code == 400, error
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["param"], error["code"], error["type"]) == (param, code, "invalid_request_error")
    assert response.headers["x-should-retry"] == "false"
    assert not worker.asked


TOLERATED: list[dict[str, Any]] = [
    {"logit_bias": {}, "functions": [], "function_call": "auto", "modalities": ["text"], "verbosity": "medium"},
    {"user": "me", "metadata": {"a": "b"}, "store": True, "service_tier": "flex", "safety_identifier": "x"},
    {"prompt_cache_key": "x", "prompt_cache_retention": "24h"},
    {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True},
    {"response_format": {"type": "text"}, "stop": [], "top_k": -1},
    dict.fromkeys(("temperature", "n", "stop", "tools", "seed", "response_format", "stream", "logprobs")),
    {"messages": [{"role": "user", "content": "Hi", "name": "x", "cache_control": {"type": "ephemeral"}}]},
]


@pytest.mark.parametrize("change", TOLERATED, ids=lambda value: json.dumps(value)[:60])
async def test_what_changes_nothing_is_tolerated(
    house: House, start_worker: StartWorker, change: dict[str, Any]
) -> None:
    worker = await start_worker()
    house.show(worker)
    response = await house.client.post("/v1/chat/completions", json={**CHAT, **change})
    assert response.status_code == 200, response.text
    assert worker.asked[-1].json == {"messages": ASK}


async def test_images_reach_a_model_that_reads_them(house: House, start_worker: StartWorker) -> None:
    worker = await start_worker()
    house.show(worker, accepts_images=True)
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}},
    ]
    body = {"model": "chat", "messages": [{"role": "user", "content": content}]}
    assert (await house.client.post("/v1/chat/completions", json=body)).status_code == 200
    assert worker.asked[-1].json["messages"][0]["content"] == content
    house.show(worker)
    refused = (await house.client.post("/v1/chat/completions", json=body)).json()["error"]
    assert (refused["code"], refused["param"]) == ("images_not_supported", "messages[0].content[1]")


async def test_sampling_fields_of_vllm_users(house: House, start_worker: StartWorker) -> None:
    worker = await start_worker()
    house.show(worker)
    further = {"top_k": 40, "min_p": 0.1, "repetition_penalty": 1.1, "chat_template_kwargs": {"thinking": False}}
    assert (await house.client.post("/v1/chat/completions", json={**CHAT, **further})).status_code == 200
    assert worker.asked[-1].json == {"messages": ASK, **further, "repeat_penalty": 1.1}


async def test_a_worker_without_such_fields_gets_them_where_its_template_declares_them(
    house: House, start_worker: StartWorker
) -> None:
    async def behave(asked: Any) -> None:
        await asked.answer({"message": {"content": "x"}, "finish_reason": "stop"})

    worker = await start_worker(behave)
    house.show(worker, protocol=EndpointProtocol.SGP)
    refused = (await house.client.post("/v1/chat/completions", json={**CHAT, "min_p": 0.1})).json()["error"]
    assert (refused["param"], refused["code"]) == ("min_p", "unsupported_parameter")
    declared = ParameterSchema(
        (
            Parameter("min_p", ParameterType.FLOAT, "", required=True),
            Parameter("style", ParameterType.STR, "", required=False),
        )
    )
    house.show(worker, protocol=EndpointProtocol.SGP, request_schema=declared)
    sent = {**CHAT, "min_p": 0.1, "style": "terse"}
    assert (await house.client.post("/v1/chat/completions", json=sent)).status_code == 200
    assert worker.asked[-1].json == {
        "messages": ASK,
        "model_request_parameters": {"bindings": {"min_p": 0.1, "style": "terse"}},
    }
    missing = (await house.client.post("/v1/chat/completions", json=CHAT)).json()["error"]
    assert missing["param"] == "model_request_parameters.bindings.min_p"


COMPLETIONS: list[tuple[dict[str, Any], str]] = [
    ({"prompt": [1, 2]}, "prompt[0]"),
    ({"prompt": []}, "prompt"),
    ({"prompt": ["a", None]}, "prompt[1]"),
    ({"prompt": ["a"] * 100, "n": 128}, "prompt"),
    ({"echo": True}, "echo"),
    ({"suffix": "x"}, "suffix"),
    ({"best_of": 3}, "best_of"),
    ({"logprobs": True}, "logprobs"),
]


@pytest.mark.parametrize(("change", "param"), COMPLETIONS)
async def test_what_a_completion_cannot_honour(
    house: House, start_worker: StartWorker, change: dict[str, Any], param: str
) -> None:
    worker = await start_worker()
    house.show(worker)
    response = await house.client.post("/v1/completions", json={"model": "chat", "prompt": "a", **change})
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)
    assert not worker.asked


async def test_what_embeddings_and_rerankings_refuse(house: House, start_worker: StartWorker) -> None:
    house.show(await start_worker(vectors), model_type=ModelType.EMBEDDING)
    for change, param in (({"input": []}, "input"), ({"encoding_format": "hex"}, "encoding_format")):
        response = await house.client.post("/v1/embeddings", json={"model": "chat", "input": "a", **change})
        assert (response.status_code, response.json()["error"]["param"]) == (400, param)
    house.show(await start_worker(scores), model_type=ModelType.RERANKING)
    body = {"model": "chat", "query": "q", "documents": ["a"]}
    for change, param in (
        ({"documents": []}, "documents"),
        ({"documents": [{"title": "x"}]}, "documents[0].text"),
        ({"top_n": 0}, "top_n"),
        ({"rank_fields": ["title"]}, "rank_fields"),
        ({"instruction": "be strict"}, "instruction"),
    ):
        response = await house.client.post("/v1/rerank", json={**body, **change})
        assert (response.status_code, response.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("kind", "path", "right"),
    [
        (ModelType.EMBEDDING, "chat/completions", "POST /v1/embeddings"),
        (ModelType.COMPLETION, "chat/completions", "POST /v1/completions"),
        (ModelType.CHAT_COMPLETION, "embeddings", "POST /v1/chat/completions"),
        (ModelType.RERANKING, "completions", "POST /v1/rerank"),
        (ModelType.GENERIC, "rerank", "/execute"),
    ],
)
async def test_the_wrong_call_names_the_right_one(
    house: House, start_worker: StartWorker, kind: ModelType, path: str, right: str
) -> None:
    house.show(await start_worker(), model_type=kind)
    response = await house.client.post(f"/v1/{path}", json={"model": "chat"})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "wrong_verb", "model")
    assert right in error["message"]


async def test_every_other_error_has_openais_shape_too(house: House, build: Any) -> None:
    async def ask(method: str, path: str, **more: Any) -> tuple[int, dict[str, Any]]:
        response = await house.client.request(method, path, **more)
        assert response.headers["x-request-id"]
        return response.status_code, response.json()["error"]

    status, error = await ask("GET", "/v1/chat/completions")
    assert (status, error["code"]) == (405, "method_not_allowed")
    status, error = await ask("POST", "/v1/chat/completions", content=b"{")
    assert (status, error["code"]) == (400, "malformed_request")
    status, error = await ask("POST", "/v1/chat/completions", json={"messages": ASK})
    assert (status, error["code"], error["param"]) == (400, "missing_required_parameter", "model")
    status, error = await ask("POST", "/v1/audio/speech", json={})
    assert (status, error["code"]) == (404, "not_found")
    status, error = await ask("GET", "/v1/models", headers={"x-api-key": "wrong"})
    assert (status, error["code"]) == (401, "invalid_api_key")
    status, error = await ask("POST", "/v1/nothing", headers={"x-api-key": "wrong"})
    assert (status, error["code"]) == (401, "invalid_api_key")
    status, error = await ask("POST", "/v1/embeddings", json={"model": "x"}, headers={"x-selected-account-id": "y"})
    assert (status, error["code"]) == (404, "account_not_found")
    small = await build(max_body_bytes=1024)
    response = await small.client.post("/v1/chat/completions", json={**CHAT, "user": "x" * 2000})
    assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")


async def test_a_header_that_says_nothing_clear_is_refused(house: House, start_worker: StartWorker) -> None:
    house.show(await start_worker())
    response = await house.client.post("/v1/chat/completions", json=CHAT, headers={"x-trim-history": "perhaps"})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "x-trim-history")


async def test_a_name_that_means_several_gives_way_to_ids(house: House, start_worker: StartWorker) -> None:
    first = make_route()
    second = make_route(deployment_id="99999999-2222-4222-8222-222222222222", model_id="m2", model_name="other")
    house.routes.put(first, second)
    ids = [model["id"] for model in (await house.client.get("/v1/models")).json()["data"]]
    assert sorted(ids) == sorted([first.deployment_id, second.deployment_id])
    response = await house.client.post("/v1/chat/completions", json=CHAT)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "ambiguous_name")
    assert response.json()["error"]["param"] == "model"
    assert (await house.client.get(f"/v1/models/{first.deployment_id}")).json()["id"] == first.deployment_id
