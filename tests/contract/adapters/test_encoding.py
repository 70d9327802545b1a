"""What adapters put on the wire, and what they refuse rather than drop."""

import json
from dataclasses import replace
from typing import Any

import pytest

from modelyard.domain.inference import (
    Bindings,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImageData,
    ImageUrl,
    Message,
    Part,
    RerankingRequest,
)
from modelyard.errors import InvalidRequest
from modelyard.gateway.adapters.openai import OpenAIAdapter
from modelyard.gateway.adapters.sgp import SgpAdapter
from modelyard.gateway.adapters.wire import WireRequest
from modelyard.testing.gateway import make_route

OPENAI = OpenAIAdapter()
SGP = SgpAdapter()
ROUTE = make_route()
ASK = [Message("system", "Be brief."), Message("user", "Say hi")]

EVERYTHING: dict[str, Any] = {
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 40.0,
    "max_tokens": 7,
    "stop_sequences": ["a", "b"],
    "frequency_penalty": 0.1,
    "presence_penalty": -0.1,
    "logprobs": True,
    "top_logprobs": 3,
}


def sent(wire: WireRequest) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(wire.body)
    return body


def test_every_chat_setting_reaches_an_openai_server() -> None:
    chat = ChatRequest(
        messages=ASK, reasoning_effort="low", chat_template="{{x}}", chat_template_kwargs={"x": 1}, **EVERYTHING
    )
    wire = OPENAI.encode_chat(chat, ROUTE)
    assert wire.path == "/v1/chat/completions"
    assert sent(wire) == {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hi"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 40,
        "max_tokens": 7,
        "stop": ["a", "b"],
        "frequency_penalty": 0.1,
        "presence_penalty": -0.1,
        "logprobs": True,
        "top_logprobs": 3,
        "reasoning_effort": "low",
        "chat_template": "{{x}}",
        "chat_template_kwargs": {"x": 1},
    }


def test_every_completion_setting_reaches_an_openai_server() -> None:
    wire = OPENAI.encode_completion(CompletionRequest(prompts=["The sky"], **EVERYTHING), ROUTE)
    assert wire.path == "/v1/completions"
    body = sent(wire)
    assert body["prompt"] == "The sky"
    assert body["logprobs"] == 3, "completions take the number of alternatives"
    assert body["stop"] == ["a", "b"]


def test_what_was_not_asked_for_is_not_sent() -> None:
    assert sent(OPENAI.encode_chat(ChatRequest(messages=ASK[1:]), ROUTE)) == {
        "messages": [{"role": "user", "content": "Say hi"}]
    }


def test_a_stream_is_asked_for_with_its_counts() -> None:
    body = sent(OPENAI.encode_chat(ChatRequest(messages=ASK, stream=True), ROUTE))
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}


def test_top_logprobs_alone_asks_for_logprobs_too() -> None:
    body = sent(OPENAI.encode_chat(ChatRequest(messages=ASK, top_logprobs=2), ROUTE))
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)


def test_logprobs_without_alternatives_ask_for_one() -> None:
    # llama.cpp gives none at all for 0, and 20 for nothing.
    body = sent(OPENAI.encode_chat(ChatRequest(messages=ASK, logprobs=True), ROUTE))
    assert (body["logprobs"], body["top_logprobs"]) == (True, 1)


@pytest.mark.parametrize("adapter", [OPENAI, SGP])
def test_top_logprobs_against_logprobs_is_refused(adapter: OpenAIAdapter | SgpAdapter) -> None:
    with pytest.raises(InvalidRequest, match="top_logprobs"):
        adapter.encode_chat(ChatRequest(messages=ASK, logprobs=False, top_logprobs=2), ROUTE)


def test_images_become_data_urls() -> None:
    parts = [
        Part(text="What is this?"),
        Part(image_data=ImageData("AAAA", "image/png", "low")),
        Part(image_url=ImageUrl("https://example.com/a.jpg")),
    ]
    body = sent(OPENAI.encode_chat(ChatRequest(messages=[Message("user", parts)]), ROUTE))
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}},
    ]


def test_a_templates_request_parameters_become_fields_of_the_body() -> None:
    chat = ChatRequest(messages=ASK, temperature=1.0, model_request_parameters=Bindings({"min_p": 0.05, "seed": 7}))
    body = sent(OPENAI.encode_chat(chat, ROUTE))
    assert (body["min_p"], body["seed"], body["temperature"]) == (0.05, 7, 1.0)


@pytest.mark.parametrize("name", ["messages", "stream", "temperature", "n", "model"])
def test_request_parameters_cannot_take_the_place_of_the_requests_own_fields(name: str) -> None:
    chat = ChatRequest(messages=ASK, model_request_parameters=Bindings({name: 1}))
    with pytest.raises(InvalidRequest, match=name):
        OPENAI.encode_chat(chat, ROUTE)


@pytest.mark.parametrize(
    ("field", "value"),
    [("reasoning_effort", "low"), ("chat_template", "{{x}}"), ("chat_template_kwargs", {"x": 1})],
)
def test_plain_completion_refuses_what_only_a_chat_has(field: str, value: Any) -> None:
    with pytest.raises(InvalidRequest, match=field):
        OPENAI.encode_completion(CompletionRequest(prompts=["x"], **{field: value}), ROUTE)


def test_a_broken_top_k_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="top_k"):
        OPENAI.encode_chat(ChatRequest(messages=ASK, top_k=2.5), ROUTE)


def test_an_instruction_that_the_format_cannot_say_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="instruction"):
        OPENAI.encode_reranking(RerankingRequest("q", ["a"], "be strict"), ROUTE)


def test_embeddings_and_rerankings_in_openai_words() -> None:
    wire = OPENAI.encode_embedding(EmbeddingRequest(["a", "b"]), ROUTE)
    assert (wire.path, sent(wire)) == ("/v1/embeddings", {"input": ["a", "b"], "encoding_format": "float"})
    wire = OPENAI.encode_reranking(RerankingRequest("q", ["a", "b"]), ROUTE)
    assert (wire.path, sent(wire)) == ("/v1/rerank", {"query": "q", "documents": ["a", "b"]})


def test_an_sgp_worker_gets_the_native_request_on_the_templates_routes() -> None:
    route = replace(ROUTE, predict_route="/go", streaming_predict_route="/go-on")
    wire = SGP.encode_chat(ChatRequest(messages=ASK, max_tokens=3), route)
    assert (wire.path, sent(wire)) == (
        "/go",
        {
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hi"}],
            "max_tokens": 3,
        },
    )
    assert SGP.encode_completion(CompletionRequest(prompts=["a"], stream=True), route).path == "/go-on"
    wire = SGP.encode_reranking(RerankingRequest("q", ["a"], "strict", Bindings({"x": True})), route)
    assert sent(wire) == {
        "query": "q",
        "chunks": ["a"],
        "instruction": "strict",
        "model_request_parameters": {"bindings": {"x": True}},
    }
