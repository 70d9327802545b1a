"""What goes to Cohere's API v2, what is refused rather than dropped, and what its errors mean.

Formats: https://docs.cohere.com/v2/reference/chat, …/embed, …/rerank, …/errors.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from modelyard.domain.history import CONTEXT_LENGTH_EXCEEDED
from modelyard.domain.inference import (
    Bindings,
    ChatRequest,
    ChatResult,
    CompletionRequest,
    EmbeddingRequest,
    FunctionCall,
    FunctionName,
    ImageData,
    ImageUrl,
    JsonSchema,
    Message,
    NamedTool,
    Part,
    RerankingRequest,
    ResponseFormat,
    Tool,
    ToolCall,
    ToolFunction,
)
from modelyard.domain.models import ModelVendor
from modelyard.domain.vendors import VendorTarget
from modelyard.errors import InvalidRequest, UpstreamError, UpstreamTimeout
from modelyard.gateway.adapters.cohere import CohereAdapter
from modelyard.gateway.adapters.wire import WireRequest
from modelyard.http.errors import status_of
from modelyard.testing.gateway import make_route

VENDOR = CohereAdapter("Cohere")
WORKER = CohereAdapter()
TARGET = VendorTarget(ModelVendor.COHERE, "command-a-03-2025", "https://api.cohere.com", max_output_tokens=8000)
ROUTE = make_route(vendor=TARGET)
ASK = [Message("system", "Be brief."), Message("user", "Say hi")]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def tool(name: str, **changes: Any) -> Tool:
    return Tool(ToolFunction(name, "Does it", SCHEMA, **changes))


def sent(wire: WireRequest) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(wire.body)
    return body


def chat(**changes: Any) -> WireRequest:
    return VENDOR.encode_chat(ChatRequest(**{"messages": ASK, **changes}), ROUTE)


def test_every_setting_reaches_cohere_under_its_own_name() -> None:
    wire = chat(
        temperature=1.5, top_p=0.9, top_k=40.0, max_tokens=7, stop_sequences=["a"], frequency_penalty=0.1,
        presence_penalty=0.2, logprobs=True, seed=3, stream=True,
        model_request_parameters=Bindings({"safety_mode": "STRICT"}),
    )  # fmt: skip
    assert (wire.path, wire.adjusted) == ("/v2/chat", ())
    assert sent(wire) == {
        "model": "command-a-03-2025",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hi"}],
        "stream": True,
        "temperature": 1.5,
        "p": 0.9,
        "k": 40,
        "max_tokens": 7,
        "stop_sequences": ["a"],
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "logprobs": True,
        "seed": 3,
        "safety_mode": "STRICT",
    }


def test_what_was_not_asked_for_is_not_sent() -> None:
    assert set(sent(chat())) == {"model", "messages", "stream"}
    assert sent(chat())["stream"] is False


def test_a_worker_is_asked_for_the_model_by_its_name_here() -> None:
    assert sent(WORKER.encode_chat(ChatRequest(messages=ASK), make_route()))["model"] == "chat-model"


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        ({"top_p": 1.0}, "p", 0.99),
        ({"top_p": 0.0}, "p", 0.01),
        ({"top_k": 501.0}, "k", 500),
        ({"frequency_penalty": -1.5}, "frequency_penalty", 0),
        ({"presence_penalty": 2.0}, "presence_penalty", 1),
        ({"max_tokens": 9000}, "max_tokens", 8000),
        ({"reasoning_effort": "xhigh"}, "thinking", {"type": "enabled", "token_budget": 32768}),
        ({"reasoning_effort": "low"}, "thinking", {"type": "enabled", "token_budget": 1024}),
        ({"reasoning_effort": "high"}, "thinking", {"type": "enabled", "token_budget": 16384}),
    ],
)
def test_what_is_sent_otherwise_than_asked_is_reported(given: dict[str, Any], name: str, value: Any) -> None:
    wire = chat(**given)
    assert sent(wire)[name] == value
    (note,) = wire.adjusted
    assert note.startswith(f"{next(iter(given))}: ")
    assert note.isascii()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": False, "top_logprobs": 2}, "top_logprobs"),
        ({"top_k": 2.5}, "top_k"),
        ({"seed": -1}, "seed"),
        ({"chat_template": "x"}, "chat_template"),
        ({"chat_template_kwargs": {"x": 1}}, "chat_template_kwargs"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [tool("a")], "tool_choice": NamedTool(FunctionName("b"))}, "tool_choice"),
        ({"tools": [tool("a", strict=True), tool("b")]}, "tools"),
        ({"model_request_parameters": Bindings({"p": 0.5})}, "model_request_parameters"),
    ],
)
def test_what_cohere_lacks_is_refused_by_name(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        chat(**given)
    assert caught.value.errors[0].loc[-1] == field


def test_values_that_ask_for_nothing_are_no_reason_to_refuse() -> None:
    wire = chat(
        logprobs=False,
        top_logprobs=0,
        parallel_tool_calls=True,
        tool_choice="none",
        response_format=ResponseFormat("text"),
    )
    assert set(sent(wire)) == {"model", "messages", "stream"}


def test_tools_and_how_they_are_chosen() -> None:
    tools = [tool("a", strict=True), Tool(ToolFunction("b", strict=True))]
    body = sent(chat(tools=tools, tool_choice="required"))
    assert body["tools"] == [
        {"type": "function", "function": {"name": "a", "description": "Does it", "parameters": SCHEMA}},
        {"type": "function", "function": {"name": "b", "parameters": {"type": "object", "properties": {}}}},
    ]
    assert (body["tool_choice"], body["strict_tools"]) == ("REQUIRED", True)
    assert sent(chat(tools=tools, tool_choice="none"))["tool_choice"] == "NONE"
    assert "tool_choice" not in sent(chat(tools=tools, tool_choice="auto"))
    wire = chat(tools=tools, tool_choice=NamedTool(FunctionName("b")))
    assert [each["function"]["name"] for each in sent(wire)["tools"]] == ["b"]
    assert sent(wire)["tool_choice"] == "REQUIRED"
    assert len(wire.adjusted) == 1


def test_calls_and_their_results_go_back() -> None:
    call = ToolCall("id1", FunctionCall("a", '{"city":"Paris"}'))
    messages = [ASK[1], Message("assistant", "", [call]), Message("tool", "sunny", tool_call_id="id1")]
    assert sent(chat(messages=messages))["messages"][1:] == [
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "id1", "type": "function", "function": {"name": "a", "arguments": '{"city":"Paris"}'}}
            ],
        },
        {"role": "tool", "content": "sunny", "tool_call_id": "id1"},
    ]


def test_images_go_as_urls() -> None:
    parts = [
        Part(text="What is this?"),
        Part(image_data=ImageData("AAAA", "image/png", "low")),
        Part(image_url=ImageUrl("https://example.com/a.jpg")),
    ]
    assert sent(chat(messages=[Message("user", parts)]))["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.jpg"}},
    ]


@pytest.mark.parametrize("url", ["gs://mine/a.png", "file:///etc/passwd", "data:image/png,AAAA"])
def test_images_that_are_not_public_are_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="image_url"):
        chat(messages=[Message("user", [Part(image_url=ImageUrl(url))])])


def test_workers_fetch_nothing_from_within_our_network() -> None:
    request = ChatRequest(messages=[Message("user", [Part(image_url=ImageUrl("http://169.254.169.254/latest"))])])
    with pytest.raises(InvalidRequest, match="inline"):
        WORKER.encode_chat(request, make_route())


def test_response_formats() -> None:
    assert sent(chat(response_format=ResponseFormat("json_object")))["response_format"] == {"type": "json_object"}
    named = ResponseFormat("json_schema", JsonSchema("city", SCHEMA, "A city", True))
    assert sent(chat(response_format=named))["response_format"] == {
        "type": "json_object",
        "json_schema": {"description": "A city", **SCHEMA},
    }
    plain = ResponseFormat("json_schema", JsonSchema("city", SCHEMA))
    assert sent(chat(response_format=plain))["response_format"]["json_schema"] == SCHEMA


def test_embeddings_say_what_they_are_for() -> None:
    wire = VENDOR.encode_embedding(EmbeddingRequest(["a", "b"]), ROUTE)
    assert (wire.path, sent(wire)) == (
        "/v2/embed",
        {"model": TARGET.model, "texts": ["a", "b"], "input_type": "search_document", "embedding_types": ["float"]},
    )
    assert wire.adjusted[0].startswith("input_type: ")
    told = Bindings({"input_type": "search_query", "dimensions": 256})
    wire = VENDOR.encode_embedding(EmbeddingRequest(["a"], told), ROUTE)
    assert (sent(wire)["input_type"], sent(wire)["output_dimension"], wire.adjusted) == ("search_query", 256, ())
    assert VENDOR.most_texts(ROUTE) == 96
    with pytest.raises(InvalidRequest, match="embedding_types"):
        VENDOR.encode_embedding(EmbeddingRequest(["a"], Bindings({"embedding_types": "int8"})), ROUTE)


def test_rerankings_ask_for_all_scores() -> None:
    wire = VENDOR.encode_reranking(RerankingRequest("q", ["a"], None, Bindings({"max_tokens_per_doc": 100})), ROUTE)
    assert wire.path == "/v2/rerank"
    assert sent(wire) == {"model": TARGET.model, "query": "q", "documents": ["a"], "max_tokens_per_doc": 100}
    with pytest.raises(InvalidRequest, match="instruction"):
        VENDOR.encode_reranking(RerankingRequest("q", ["a"], "be strict"), ROUTE)
    with pytest.raises(InvalidRequest, match="top_n"):
        VENDOR.encode_reranking(RerankingRequest("q", ["a"], None, Bindings({"top_n": 1})), ROUTE)


def test_plain_completion_is_a_chat_of_one_message() -> None:
    request = CompletionRequest(prompts=["The sky is"], max_tokens=3)
    wire = VENDOR.encode_completion(request, ROUTE)
    assert (wire.path, sent(wire)["messages"]) == ("/v2/chat", [{"role": "user", "content": "The sky is"}])
    body = b'{"message":{"content":[{"type":"text","text":" blue"}]},"finish_reason":"COMPLETE"}'
    assert VENDOR.decode_completion(request, body).completions == [("The sky is", [" blue"])]


@pytest.mark.parametrize(
    ("status", "message", "told", "code"),
    [
        (400, "invalid request: message must be at least 1 token long", 422, "refused_by_vendor"),
        (400, "too many tokens: size limit exceeded by 11326 tokens.", 422, CONTEXT_LENGTH_EXCEEDED),
        (400, "too many tokens: max tokens must be less than or equal to 4096", 422, "refused_by_vendor"),
        (401, "invalid api token", 502, "vendor_credentials_invalid"),
        (402, "Please add or update your payment method", 502, "vendor_unpaid"),
        (403, "forbidden", 502, "vendor_credentials_invalid"),
        (404, "model 'x' not found", 502, "vendor_model_unknown"),
        (422, "invalid type", 422, "refused_by_vendor"),
        (429, "You are past the per minute request limit", 429, "vendor_rate_limited"),
        (498, "invalid token", 502, "vendor_credentials_invalid"),
        (499, "client closed request", 502, "vendor_failed"),
        (500, "internal server error", 502, "vendor_failed"),
        (501, "not implemented", 422, "refused_by_vendor"),
        (503, "service unavailable", 503, "vendor_busy"),
        (504, "gateway timeout", 504, "upstream_timeout"),
    ],
)
def test_errors_of_the_vendor(status: int, message: str, told: int, code: str) -> None:
    error = VENDOR.decode_error(status, json.dumps({"id": "1", "message": message}).encode())
    assert (status_of(error), error.code) == (told, code)
    assert message in str(error)


def test_a_max_tokens_that_is_too_large_is_named() -> None:
    error = VENDOR.decode_error(400, b'{"message":"too many tokens: max tokens must be less than or equal to 4096"}')
    assert isinstance(error, InvalidRequest)
    assert error.errors[0].loc == ("body", "max_tokens")


def test_a_workers_errors_are_the_workers() -> None:
    assert WORKER.decode_error(400, b'{"message":"invalid request"}').code == "refused_by_worker"
    assert WORKER.decode_error(400, b'{"message":"too many tokens: 9"}').code == CONTEXT_LENGTH_EXCEEDED
    assert WORKER.decode_error(503, b'{"message":"later"}').code == "worker_busy"
    assert "page" in str(VENDOR.decode_error(502, b"<html><title>Bad Gateway</title>"))


PUBLISHED = Path(__file__).parent / "published" / "cohere"


def answered(name: str) -> ChatResult:
    return VENDOR.decode_chat(ChatRequest(messages=ASK), (PUBLISHED / f"{name}.json").read_bytes())


def test_an_answer_is_read_whole() -> None:
    plain = answered("chat")
    assert (plain.message.content, plain.finish_reason) == ("Hi! Grüße – 你好 👋", "stop")
    assert (plain.prompt_tokens, plain.response_tokens, plain.cached_tokens) == (5, 9, 64)
    thoughtful = answered("chat_thinking")
    assert (thoughtful.reasoning, thoughtful.message.content) == ("They greet me. I greet back.", "Hello!")
    tools = answered("chat_tools")
    assert (tools.message.content, tools.finish_reason) == ("", "tool_calls")
    assert tools.reasoning == "I will look up the weather and the time in Paris."
    assert isinstance(tools.message.tool_calls, list)
    assert [
        (call.id, call.function.name, json.loads(call.function.arguments)) for call in tools.message.tool_calls
    ] == [
        ("get_weather_2f2bsv3ytn9c", "get_weather", {"city": "Paris"}),
        ("get_time_8k1m0hkq4xwa", "get_time", {"zone": "Europe/Paris"}),
    ]


def test_log_probabilities_of_several_tokens_are_summed() -> None:
    result = answered("chat_likelihoods")
    assert result.finish_reason == "length"
    assert result.logprobs is not None
    assert [(each.token, each.logprob, each.top_logprobs) for each in result.logprobs] == [
        ("One", -0.25, []),
        (" two", -0.5, []),
        (" 👋", -1.625, []),
    ]


def test_embeddings_come_back_with_their_texts_unread() -> None:
    body = (PUBLISHED / "embeddings.json").read_bytes()
    result = VENDOR.decode_embedding(EmbeddingRequest(["a", "b"]), body)
    assert bytes(result.embeddings) == b'[["a",[0.1,-2.5e-3]],["b",[1,0]]]'
    assert result.tokens_used == 6
    with pytest.raises(UpstreamError, match="2 embeddings for 1"):
        VENDOR.decode_embedding(EmbeddingRequest(["a"]), body)


def test_scores_come_back_in_the_order_asked_without_tokens() -> None:
    body = (PUBLISHED / "rerankings.json").read_bytes()
    result = VENDOR.decode_reranking(RerankingRequest("q", ["a", "b"]), body)
    assert (result.chunk_scores, result.tokens_used) == ([0.25, -1.5], None)
    with pytest.raises(UpstreamError, match="2 scores for 3"):
        VENDOR.decode_reranking(RerankingRequest("q", ["a", "b", "c"]), body)


@pytest.mark.parametrize(("reason", "kind"), [("ERROR", UpstreamError), ("TIMEOUT", UpstreamTimeout)])
def test_an_answer_that_failed_is_no_short_answer(reason: str, kind: type[Exception]) -> None:
    request = ChatRequest(messages=ASK)
    whole = {"message": {"role": "assistant", "content": [{"type": "text", "text": "half"}]}, "finish_reason": reason}
    with pytest.raises(kind):
        VENDOR.decode_chat(request, json.dumps(whole).encode())
    end = {"type": "message-end", "delta": {"finish_reason": reason, "error": "out of luck"}}
    decoder = VENDOR.stream_decoder(request)
    with pytest.raises(kind, match="out of luck"):
        decoder.feed(f"event: message-end\ndata: {json.dumps(end)}\n\n".encode())


def test_tokens_are_those_that_are_billed_and_else_those_that_were_read() -> None:
    def counted(usage: Any) -> tuple[int | None, int | None]:
        body = {"message": {"content": []}, "finish_reason": "COMPLETE", "usage": usage}
        result = VENDOR.decode_chat(ChatRequest(messages=ASK), json.dumps(body).encode())
        return result.prompt_tokens, result.response_tokens

    tokens = {"input_tokens": 71, "output_tokens": 11}
    assert counted({"billed_units": {"input_tokens": 5, "output_tokens": 9}, "tokens": tokens}) == (5, 9)
    assert counted({"tokens": tokens}) == (71, 11)
    assert counted(None) == (None, None)


def test_tool_calls_are_counted_apart_from_texts_and_may_come_in_lists() -> None:
    text = {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Well"}}}}
    begin = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
    start = {"type": "tool-call-start", "index": 1, "delta": {"message": {"tool_calls": [begin]}}}
    more = {
        "type": "tool-call-delta",
        "index": 1,
        "delta": {"message": {"tool_calls": {"function": {"arguments": "{}"}}}},
    }
    decoder = VENDOR.stream_decoder(ChatRequest(messages=ASK))
    chunks = decoder.feed("".join(f"data: {json.dumps(event)}\n\n" for event in (text, start, more)).encode())
    pieces = [piece for chunk in chunks for piece in chunk.tool_calls or ()]
    assert [(piece.index, piece.id, piece.name, piece.arguments) for piece in pieces] == [
        (0, "c1", "f", ""),
        (0, None, None, "{}"),
    ]
    with pytest.raises(UpstreamError, match="never began"):
        decoder.feed(f"data: {json.dumps({**more, 'index': 7})}\n\n".encode())
