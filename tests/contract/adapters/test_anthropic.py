"""What the Anthropic adapter puts on the wire, what it reads, and what it refuses rather than drop."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from modelyard.domain.history import CONTEXT_LENGTH_EXCEEDED
from modelyard.domain.inference import (
    Bindings,
    ChatRequest,
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
from modelyard.domain.routes import Route
from modelyard.domain.vendors import VendorTarget
from modelyard.errors import InvalidRequest, ModelyardError, Unavailable, UpstreamError
from modelyard.gateway.adapters.anthropic import AnthropicAdapter
from modelyard.gateway.adapters.anthropic_models import profile_of
from modelyard.http.errors import status_of
from modelyard.testing.gateway import make_route

ANTHROPIC = AnthropicAdapter()
PUBLISHED = Path(__file__).parent / "published" / "anthropic"
ASK = [Message("system", "Be brief."), Message("user", "Say hi")]
SONNET_4_5, OPUS_4_6, OPUS_5, OPUS_5_5 = "claude-sonnet-4-5", "claude-opus-4-6", "claude-opus-5", "claude-opus-5-5"

WEATHER = Tool(ToolFunction("get_weather", "Weather of a city", {"type": "object", "properties": {}}, True))
TIME = Tool(ToolFunction("get_time"))


def route(model: str = SONNET_4_5, max_output_tokens: int | None = 1000) -> Route:
    target = VendorTarget(ModelVendor.ANTHROPIC, model, "https://api.anthropic.com", max_output_tokens)
    return make_route(vendor=target)


def sent(model: str = SONNET_4_5, most: int | None = 1000, **fields: Any) -> dict[str, Any]:
    fields.setdefault("messages", ASK)
    body: dict[str, Any] = json.loads(ANTHROPIC.encode_chat(ChatRequest(**fields), route(model, most)).body)
    return body


def notes(model: str = SONNET_4_5, most: int | None = 1000, **fields: Any) -> tuple[str, ...]:
    fields.setdefault("messages", ASK)
    adjusted = ANTHROPIC.encode_chat(ChatRequest(**fields), route(model, most)).adjusted
    assert all(note.isascii() for note in adjusted), "notes go into a header"
    return adjusted


def test_every_setting_that_it_knows_reaches_the_vendor() -> None:
    chat = ChatRequest(
        messages=ASK, temperature=0.5, top_k=40.0, max_tokens=7, stop_sequences=["a", "b"], stream=True, logprobs=False
    )
    wire = ANTHROPIC.encode_chat(chat, route())
    assert (wire.method, wire.path, wire.headers) == (
        "POST",
        "/v1/messages",
        (("anthropic-version", "2023-06-01"),),
    )
    assert wire.adjusted == ()
    assert json.loads(wire.body) == {
        "model": SONNET_4_5,
        "max_tokens": 7,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Say hi"}]}],
        "temperature": 0.5,
        "top_k": 40,
        "stop_sequences": ["a", "b"],
        "stream": True,
    }


def test_the_version_without_sampling_is_spoken_to_models_without_it() -> None:
    wire = ANTHROPIC.encode_chat(ChatRequest(messages=ASK, temperature=1.0, top_p=1.0), route(OPUS_5))
    assert wire.headers == (("anthropic-version", "2026-10-21"),)
    assert set(json.loads(wire.body)) == {"model", "max_tokens", "system", "messages"}, "1 is what they do anyway"


def test_a_temperature_is_left_out_and_told_where_a_model_takes_none() -> None:
    assert "temperature" not in sent(OPUS_5, temperature=0.2)
    assert "temperature: this model takes none, so it was left out" in notes(OPUS_5, temperature=0.2)
    assert not any(note.startswith("temperature") for note in notes(OPUS_5, temperature=1.0))


@pytest.mark.parametrize("field", ["top_p", "top_k"])
def test_models_without_sampling_refuse_it_by_name(field: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{field}: this model takes no sampling"):
        sent(OPUS_5, **{field: 0.5})


def test_older_models_take_temperature_or_top_p_but_not_both() -> None:
    assert sent(top_p=0.5)["top_p"] == 0.5
    with pytest.raises(InvalidRequest, match="top_p"):
        sent(temperature=0.5, top_p=0.5)


def test_servers_that_only_speak_the_format_take_everything() -> None:
    body = sent("my-own-model", temperature=0.5, top_p=0.5)
    assert (body["temperature"], body["top_p"]) == (0.5, 0.5)


def test_a_temperature_above_one_is_clamped_and_told() -> None:
    assert sent(temperature=1.5, max_tokens=5)["temperature"] == 1
    assert notes(temperature=1.5, max_tokens=5) == ("temperature: 1.5 is out of range here, 1 was sent",)


def test_the_vendor_needs_max_tokens_so_a_default_is_sent_and_told() -> None:
    assert sent(most=8192)["max_tokens"] == 8192
    assert sent(most=None)["max_tokens"] == 4096
    assert notes(most=None) == ("max_tokens: this vendor needs it, 4096 was sent",)
    assert sent(max_tokens=9999)["max_tokens"] == 1000
    assert notes(max_tokens=9999) == ("max_tokens: 9999 is out of range here, 1000 was sent",)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frequency_penalty", 0.5),
        ("presence_penalty", -0.5),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("seed", 7),
        ("chat_template", "{{x}}"),
        ("chat_template_kwargs", {"x": 1}),
        ("top_k", 2.5),
    ],
)
def test_what_it_lacks_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidRequest, match=field) as caught:
        sent(**{field: value})
    assert caught.value.code == "unsupported_parameter"


def test_values_that_ask_for_nothing_are_no_reason_to_refuse() -> None:
    sent(frequency_penalty=0.0, presence_penalty=0.0, logprobs=False, top_logprobs=0)


def test_system_messages_go_first_and_turns_alternate() -> None:
    talk = [
        Message("system", "One."),
        Message("user", "a"),
        Message("user", "b"),
        Message("assistant", "c"),
        Message("system", "Two."),
        Message("user", "d"),
    ]
    body = sent(messages=talk)
    assert body["system"] == "One.\n\nTwo."
    assert [(turn["role"], [block["text"] for block in turn["content"]]) for turn in body["messages"]] == [
        ("user", ["a", "b"]),
        ("assistant", ["c"]),
        ("user", ["d"]),
    ]
    assert notes(messages=talk, max_tokens=5) == ("messages.4: system messages go first with this vendor",)


def test_a_system_alone_asks_nothing() -> None:
    with pytest.raises(InvalidRequest, match="messages"):
        sent(messages=ASK[:1])


def test_images_inline_and_by_url() -> None:
    parts = [
        Part(text="What is this?"),
        Part(image_data=ImageData("AAAA", "image/png")),
        Part(image_url=ImageUrl("data:image/webp;base64,BBBB")),
        Part(image_url=ImageUrl("https://example.com/a.jpg", "low")),
    ]
    assert sent(messages=[Message("user", parts)])["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "BBBB"}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.jpg"}},
    ]
    assert "messages.0.content.3: this vendor takes no detail" in notes(messages=[Message("user", parts)])


def test_tools_their_calls_and_their_results() -> None:
    calls = [ToolCall("t1", FunctionCall("get_weather", '{"n": 1.50}')), ToolCall("t2", FunctionCall("get_time", ""))]
    talk = [
        Message("user", "And?"),
        Message("assistant", "", tool_calls=calls),
        Message("tool", "sunny", tool_call_id="t1"),
        Message("tool", "", tool_call_id="t2"),
        Message("user", "So?"),
    ]
    wire = ANTHROPIC.encode_chat(ChatRequest(messages=talk, tools=[WEATHER, TIME]), route())
    assert b'{"n": 1.50}' in wire.body, "arguments pass as they were written"
    body = json.loads(wire.body)
    assert body["tools"] == [
        {
            "name": "get_weather",
            "description": "Weather of a city",
            "input_schema": {"type": "object", "properties": {}},
            "strict": True,
        },
        {"name": "get_time", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert "tool_choice" not in body
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"n": 1.5}},
                {"type": "tool_use", "id": "t2", "name": "get_time", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "sunny"},
                {"type": "tool_result", "tool_use_id": "t2", "content": ""},
                {"type": "text", "text": "So?"},
            ],
        },
    ]


def test_ids_of_another_vendors_calls_are_written_in_letters_that_this_one_takes() -> None:
    foreign = "8f2b~CpUBAdHt/+=="
    talk = [
        *ASK,
        Message("assistant", "", tool_calls=[ToolCall(foreign, FunctionCall("get_time", "{}"))]),
        Message("tool", "noon", tool_call_id=foreign),
    ]
    _, call, result = sent(messages=talk, tools=[TIME])["messages"]
    id = call["content"][0]["id"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", id)
    assert result["content"][0]["tool_use_id"] == id


@pytest.mark.parametrize("arguments", ["[1]", "{", "7", '{"a":' + "[" * 100_000])
def test_arguments_that_are_no_object_are_named(arguments: str) -> None:
    talk = [*ASK, Message("assistant", "", tool_calls=[ToolCall("t1", FunctionCall("f", arguments))])]
    with pytest.raises(InvalidRequest) as caught:
        sent(messages=talk)
    assert caught.value.errors[0].loc == ("body", "messages", 2, "tool_calls", 0, "function", "arguments")


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("auto", None, {"type": "auto"}),
        ("auto", True, {"type": "auto"}),
        ("none", None, {"type": "none"}),
        ("required", None, {"type": "any"}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        (NamedTool(FunctionName("get_time")), None, {"type": "tool", "name": "get_time"}),
    ],
)
def test_tool_choice(choice: Any, parallel: bool | None, expected: dict[str, Any] | None) -> None:
    body = sent(tools=[TIME], tool_choice=choice, parallel_tool_calls=parallel)
    assert body.get("tool_choice") == expected


def test_a_choice_without_tools_is_refused_unless_it_asks_for_nothing() -> None:
    assert "tool_choice" not in sent(tool_choice="none")
    with pytest.raises(InvalidRequest, match="tool_choice"):
        sent(tool_choice="required")


def test_models_that_always_think_cannot_be_made_to_call_a_tool() -> None:
    with pytest.raises(InvalidRequest, match="tool_choice"):
        sent(OPUS_5_5, tools=[TIME], tool_choice="required")
    assert sent(OPUS_5, tools=[TIME], tool_choice="required")["tool_choice"] == {"type": "any"}


def test_effort_where_models_decide_how_much_to_think() -> None:
    body = sent(OPUS_5, reasoning_effort="low")
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"] == {"effort": "low"}


@pytest.mark.parametrize(
    ("model", "effort", "told"), [(OPUS_5, "minimal", "low"), (OPUS_4_6, "xhigh", "high"), (OPUS_5_5, "none", "low")]
)
def test_an_effort_that_a_model_lacks_becomes_the_nearest(model: str, effort: Any, told: str) -> None:
    assert sent(model, reasoning_effort=effort)["output_config"] == {"effort": told}
    assert f"reasoning_effort: this model has no '{effort}', '{told}' was sent" in notes(model, reasoning_effort=effort)
    assert sent(OPUS_5, reasoning_effort="xhigh")["output_config"] == {"effort": "xhigh"}


@pytest.mark.parametrize("model", [SONNET_4_5, OPUS_4_6, OPUS_5])
def test_models_that_need_not_think_are_told_not_to(model: str) -> None:
    body = sent(model, reasoning_effort="none", tools=[TIME], tool_choice="required")
    assert body["thinking"] == {"type": "disabled"}
    assert "output_config" not in body
    assert sent(SONNET_4_5, reasoning_effort="none", temperature=0.5)["temperature"] == 0.5


@pytest.mark.parametrize(
    ("effort", "budget"), [("minimal", 1024), ("low", 1024), ("medium", 4096), ("high", 16384), ("xhigh", 32768)]
)
def test_effort_as_a_budget_for_older_models(effort: Any, budget: int) -> None:
    body = sent(most=64000, reasoning_effort=effort)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert sent(most=None, reasoning_effort=effort)["max_tokens"] == 4096 + budget, "the answer needs room too"


def test_a_budget_stays_below_max_tokens() -> None:
    assert sent(most=None, reasoning_effort="high", max_tokens=2000)["thinking"]["budget_tokens"] == 1999
    assert notes(most=None, reasoning_effort="high", max_tokens=2000) == (
        "reasoning_effort: max_tokens leaves room for 1999 tokens of thinking",
    )
    with pytest.raises(InvalidRequest, match="reasoning_effort"):
        sent(most=None, reasoning_effort="low", max_tokens=1024)


def test_a_turn_that_answers_tools_is_not_thought_about_by_older_models() -> None:
    talk = [
        *ASK,
        Message("assistant", "", tool_calls=[ToolCall("t1", FunctionCall("get_time", "{}"))]),
        Message("tool", "noon", tool_call_id="t1"),
    ]
    told = notes(messages=talk, tools=[TIME], reasoning_effort="low", max_tokens=900)
    assert told == ("reasoning_effort: this model does not think in turns that answer tool calls",)
    assert "thinking" not in sent(messages=talk, tools=[TIME], reasoning_effort="low")
    assert "thinking" in sent(OPUS_4_6, messages=talk, tools=[TIME], reasoning_effort="low")


def test_what_cannot_go_together_with_thinking() -> None:
    thinks = {"reasoning_effort": "low", "most": 8000}
    for field, value in (("temperature", 0.5), ("top_k", 5.0)):
        with pytest.raises(InvalidRequest, match=field):
            sent(**thinks, **{field: value})
    with pytest.raises(InvalidRequest, match="tool_choice"):
        sent(**thinks, tools=[TIME], tool_choice="required")
    assert sent(**thinks, temperature=1.0)["temperature"] == 1
    assert sent(**thinks, top_p=0.5)["top_p"] == 0.95
    assert "top_p: 0.5 is out of range here, 0.95 was sent" in notes(**thinks, top_p=0.5)


def test_json_to_a_schema() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    wanted = ResponseFormat("json_schema", JsonSchema("Answer", schema, "An answer.", True))
    assert sent(response_format=wanted)["output_config"] == {
        "format": {"type": "json_schema", "schema": {"description": "An answer.", **schema}}
    }
    both = sent(OPUS_5, response_format=wanted, reasoning_effort="high")
    assert set(both["output_config"]) == {"effort", "format"}
    assert "output_config" not in sent(response_format=ResponseFormat("text"))


@pytest.mark.parametrize("wanted", [ResponseFormat("json_object"), ResponseFormat("json_schema", JsonSchema("A"))])
def test_json_without_a_schema_is_refused(wanted: ResponseFormat) -> None:
    with pytest.raises(InvalidRequest, match="response_format"):
        sent(response_format=wanted)


def test_request_parameters_of_the_model_become_fields_but_not_the_requests_own() -> None:
    body = sent(model_request_parameters=Bindings({"service_tier": "standard_only"}))
    assert (body["service_tier"], body["system"]) == ("standard_only", "Be brief.")
    with pytest.raises(InvalidRequest, match="temperature"):
        sent(model_request_parameters=Bindings({"temperature": 1}))


def test_a_completion_is_a_chat_of_one_message() -> None:
    request = CompletionRequest(prompts=["The sky is"], stop_sequences=["."], max_tokens=5)
    body = json.loads(ANTHROPIC.encode_completion(request, route()).body)
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "The sky is"}]}]
    assert (body["stop_sequences"], body["max_tokens"]) == (["."], 5)
    result = ANTHROPIC.decode_completion(request, (PUBLISHED / "completion.json").read_bytes())
    assert result.completions == [("The sky is", [" blue."])]
    with pytest.raises(InvalidRequest, match="prompts"):
        ANTHROPIC.encode_completion(CompletionRequest(prompts=["a", "b"]), route())


def test_what_the_vendor_has_nothing_for_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="embeddings"):
        ANTHROPIC.encode_embedding(EmbeddingRequest(["a"]), route())
    with pytest.raises(InvalidRequest, match="rerankings"):
        ANTHROPIC.encode_reranking(RerankingRequest("q", ["a"]), route())


def test_tool_calls_thoughts_and_tokens_are_read() -> None:
    chat = ChatRequest(messages=ASK)
    result = ANTHROPIC.decode_chat(chat, (PUBLISHED / "chat_tools.json").read_bytes())
    assert result.finish_reason == "tool_calls"
    arguments = '{"location": "San Francisco, CA", "unit": "fahrenheit"}'
    assert result.message.tool_calls == [
        ToolCall("toolu_01T1x1fJ34qAmk2tNTrN7Up6", FunctionCall("get_weather", arguments))
    ]
    result = ANTHROPIC.decode_chat(chat, (PUBLISHED / "chat_thinking.json").read_bytes())
    assert result.message.content == "The greatest common divisor is 21."
    assert (result.reasoning or "").startswith("I need to find the GCD")
    assert (result.prompt_tokens, result.response_tokens) == (20 + 300 + 1700, 140)
    assert (result.cached_tokens, result.reasoning_tokens) == (1700, 96)


def test_a_stream_numbers_its_tool_calls_from_zero() -> None:
    decoder = ANTHROPIC.stream_decoder(ChatRequest(messages=ASK))
    chunks = decoder.feed((PUBLISHED / "chat_parallel_tools.sse").read_bytes())
    pieces = [piece for chunk in chunks for piece in chunk.tool_calls or ()]
    assert [(piece.index, piece.name) for piece in pieces if piece.name] == [(0, "get_time"), (1, "get_weather")]
    assert pieces[1].arguments == "{}", "a call without arguments still has JSON"


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ],
)
def test_stop_reasons(stop_reason: str, finish_reason: str) -> None:
    body = json.dumps({"content": [], "stop_reason": stop_reason}).encode()
    assert ANTHROPIC.decode_chat(ChatRequest(messages=ASK), body).finish_reason == finish_reason


def fault(kind: str, message: str, **more: Any) -> bytes:
    return json.dumps(
        {"type": "error", "error": {"type": kind, "message": message, **more}, "request_id": "r"}
    ).encode()


ERRORS = [
    (400, fault("invalid_request_error", "messages.0.content: Input should be a list"), 422, "refused_by_vendor"),
    (400, fault("invalid_request_error", "prompt is too long: 211180 tokens > 200000 maximum"), 422, "context"),
    (
        400,
        fault("invalid_request_error", "input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000"),
        422,
        "context",
    ),
    (400, fault("invalid_request_error", "Output blocked by content filtering policy"), 422, "content_filtered"),
    (400, fault("invalid_request_error", "Your credit balance is too low to access the API"), 502, "vendor_unpaid"),
    (401, fault("authentication_error", "invalid x-api-key"), 502, "vendor_credentials_invalid"),
    (403, fault("permission_error", "not for you"), 502, "vendor_credentials_invalid"),
    (402, fault("billing_error", "pay"), 502, "vendor_unpaid"),
    (404, fault("not_found_error", "model: claude-9"), 502, "vendor_model_unknown"),
    (413, fault("request_too_large", "Request exceeds the maximum size"), 422, "refused_by_vendor"),
    (429, fault("rate_limit_error", "slow down"), 429, "vendor_rate_limited"),
    (
        429,
        fault("rate_limit_error", "spent", details={"error_code": "enforced_spend_limit_reached"}),
        502,
        "vendor_unpaid",
    ),
    (500, fault("api_error", "Internal server error"), 502, "vendor_failed"),
    (504, fault("timeout_error", "too slow"), 504, "upstream_timeout"),
    (529, fault("overloaded_error", "Overloaded"), 503, "vendor_busy"),
    (529, b"", 503, "vendor_busy"),
    (400, fault("an_error_of_tomorrow", "hm"), 422, "refused_by_vendor"),
    (502, b"<html><head><title>502 Bad Gateway</title></head>", 502, "vendor_failed"),
    (401, b"[1]", 502, "vendor_credentials_invalid"),
]


@pytest.mark.parametrize(("status", "body", "ours", "code"), ERRORS)
def test_errors(status: int, body: bytes, ours: int, code: str) -> None:
    error = ANTHROPIC.decode_error(status, body)
    assert (status_of(error), error.code) == (ours, CONTEXT_LENGTH_EXCEEDED if code == "context" else code)
    if body.startswith(b'{"type"'):
        assert json.loads(body)["error"]["message"] in str(error)


def test_the_field_is_named_where_the_vendor_names_it() -> None:
    body = fault("invalid_request_error", "max_tokens: 128000 > 64000, which is the maximum for this model")
    error = ANTHROPIC.decode_error(400, body)
    assert isinstance(error, InvalidRequest)
    assert error.errors[0].loc == ("body", "max_tokens")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("overloaded_error", Unavailable), ("api_error", UpstreamError), ("new_error", UpstreamError)],
)
def test_an_error_within_a_stream_is_raised(kind: str, expected: type[ModelyardError]) -> None:
    beginning = (PUBLISHED / "chat.sse").read_bytes().split(b"event: content_block_stop")[0]
    for name in (b"event: error\n", b""):
        decoder = ANTHROPIC.stream_decoder(ChatRequest(messages=ASK))
        assert decoder.feed(beginning)
        with pytest.raises(expected, match="so it is"):
            decoder.feed(name + b"data: " + fault(kind, "so it is") + b"\n\n")


def test_the_longest_beginning_of_a_name_decides() -> None:
    assert profile_of("claude-haiku-4-5-20251001").sampling
    assert not profile_of("claude-haiku-5-5").sampling
    assert not profile_of("claude-of-next-year").sampling
    assert not profile_of("claude-fable-5-1").forced_tools
    assert profile_of("claude-fable-5").forced_tools
    assert profile_of("claude-fable-5").always_thinks
