"""What the Gemini and Vertex AI adapters put on the wire, what they read, and what they refuse rather than drop."""

import json
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
from modelyard.errors import InvalidRequest, ModelyardError, RateLimited, Unavailable, UpstreamError
from modelyard.gateway.adapters.gemini import GeminiAdapter, VertexAdapter
from modelyard.gateway.folding import fold_chat
from modelyard.http.errors import status_of
from modelyard.testing.gateway import make_route

GEMINI = GeminiAdapter()
VERTEX = VertexAdapter()
PUBLISHED = Path(__file__).parent / "published"
ASK = [Message("system", "Be brief."), Message("user", "Say hi")]
CHAT = ChatRequest(messages=ASK)
FLASH_3, FLASH_2_5, FLASH_2_0 = "gemini-3.5-flash", "gemini-2.5-flash", "gemini-2.0-flash"
SIGNATURE = "CpUBAdHtim8Fmq2uJ/CgYmMd3cPW+rT4pa8Ws1mN0g=="

WEATHER = Tool(ToolFunction("get_weather", "Weather of a city", {"type": "object", "properties": {}}))
TIME = Tool(ToolFunction("get_time"))
STRICT = Tool(ToolFunction("get_time", strict=True))


def route(model: str = FLASH_3, most: int | None = None) -> Route:
    return make_route(vendor=VendorTarget(ModelVendor.GOOGLE, model, "https://generativelanguage.googleapis.com", most))


def vertex_route(model: str = FLASH_3, **parameters: str) -> Route:
    parameters = parameters or {"project": "my-project", "location": "europe-west1"}
    target = VendorTarget(ModelVendor.VERTEX_AI, model, "https://aiplatform.googleapis.com", None, parameters)
    return make_route(vendor=target)


def sent(model: str = FLASH_3, **fields: Any) -> dict[str, Any]:
    fields.setdefault("messages", ASK)
    body: dict[str, Any] = json.loads(GEMINI.encode_chat(ChatRequest(**fields), route(model)).body)
    return body


def test_every_setting_reaches_the_vendor() -> None:
    chat = ChatRequest(
        messages=ASK,
        temperature=0.5,
        top_p=0.9,
        top_k=40.0,
        max_tokens=7,
        stop_sequences=["a", "b"],
        frequency_penalty=0.1,
        presence_penalty=-0.1,
        logprobs=True,
        top_logprobs=3,
        seed=7,
        reasoning_effort="low",
    )
    wire = GEMINI.encode_chat(chat, route())
    assert (wire.method, wire.path, wire.headers, wire.adjusted) == (
        "POST",
        "/v1beta/models/gemini-3.5-flash:generateContent",
        (),
        (),
    )
    assert json.loads(wire.body) == {
        "contents": [{"role": "user", "parts": [{"text": "Say hi"}]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {
            "temperature": 0.5,
            "topP": 0.9,
            "topK": 40,
            "maxOutputTokens": 7,
            "stopSequences": ["a", "b"],
            "frequencyPenalty": 0.1,
            "presencePenalty": -0.1,
            "responseLogprobs": True,
            "logprobs": 3,
            "seed": 7,
            "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "LOW"},
        },
    }


def test_what_was_not_asked_for_is_not_sent() -> None:
    assert sent(messages=ASK[1:]) == {"contents": [{"role": "user", "parts": [{"text": "Say hi"}]}]}


def test_a_stream_has_an_address_of_its_own() -> None:
    chat = ChatRequest(messages=ASK, stream=True)
    assert GEMINI.encode_chat(chat, route()).path.endswith(":streamGenerateContent?alt=sse")
    assert VERTEX.encode_chat(chat, vertex_route()).path == (
        "/v1/projects/my-project/locations/europe-west1/publishers/google/models/gemini-3.5-flash"
        ":streamGenerateContent?alt=sse"
    )


def test_vertex_addresses() -> None:
    assert "/locations/global/" in VERTEX.encode_chat(CHAT, vertex_route(project="p")).path
    path = VERTEX.encode_chat(CHAT, vertex_route("endpoints/123")).path
    assert path == "/v1/projects/my-project/locations/europe-west1/endpoints/123:generateContent"
    path = VERTEX.encode_chat(CHAT, vertex_route("m?x=1#y", project="a/../b")).path
    assert path == "/v1/projects/a%2F..%2Fb/locations/global/publishers/google/models/m%3Fx%3D1%23y:generateContent"
    assert GEMINI.encode_chat(CHAT, route("tunedModels/mine")).path == "/v1beta/tunedModels/mine:generateContent"


def test_vertex_without_a_project_says_so() -> None:
    with pytest.raises(InvalidRequest, match="project") as caught:
        VERTEX.encode_chat(CHAT, vertex_route(location="x"))
    assert caught.value.code == "vendor_parameter_missing"


def test_logprobs_without_alternatives() -> None:
    assert sent(logprobs=True)["generationConfig"] == {"responseLogprobs": True}
    assert "generationConfig" not in sent(logprobs=False)
    with pytest.raises(InvalidRequest, match="top_logprobs"):
        sent(logprobs=False, top_logprobs=2)


def test_max_tokens_beyond_the_models_are_clamped_and_told() -> None:
    wire = GEMINI.encode_chat(ChatRequest(messages=ASK, max_tokens=9999), route(most=1000))
    assert json.loads(wire.body)["generationConfig"] == {"maxOutputTokens": 1000}
    assert wire.adjusted == ("max_tokens: 9999 is out of range here, 1000 was sent",)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("chat_template", "{{x}}"),
        ("chat_template_kwargs", {"x": 1}),
        ("top_k", 2.5),
        ("parallel_tool_calls", False),
    ],
)
def test_what_it_lacks_is_refused_by_name(field: str, value: Any) -> None:
    with pytest.raises(InvalidRequest, match=field) as caught:
        sent(**{field: value})
    assert caught.value.code == "unsupported_parameter"


@pytest.mark.parametrize(("effort", "budget"), [("low", 1024), ("medium", 8192), ("high", 24576)])
def test_effort_as_a_level_or_as_a_budget(effort: Any, budget: int) -> None:
    assert sent(reasoning_effort=effort)["generationConfig"]["thinkingConfig"] == {
        "includeThoughts": True,
        "thinkingLevel": effort.upper(),
    }
    assert sent(FLASH_2_5, reasoning_effort=effort)["generationConfig"]["thinkingConfig"] == {
        "includeThoughts": True,
        "thinkingBudget": budget,
    }
    with pytest.raises(InvalidRequest, match="reasoning_effort"):
        sent(FLASH_2_0, reasoning_effort=effort)


@pytest.mark.parametrize(
    ("model", "effort", "config", "told"),
    [
        (FLASH_3, "xhigh", {"includeThoughts": True, "thinkingLevel": "HIGH"}, "high"),
        (FLASH_3, "none", {"includeThoughts": True, "thinkingLevel": "MINIMAL"}, "minimal"),
        (FLASH_3, "minimal", {"includeThoughts": True, "thinkingLevel": "MINIMAL"}, None),
        (FLASH_2_5, "none", {"thinkingBudget": 0}, None),
        (FLASH_2_5, "xhigh", {"includeThoughts": True, "thinkingBudget": 24576}, "high"),
    ],
)
def test_an_effort_that_a_model_lacks_becomes_the_nearest(
    model: str, effort: Any, config: dict[str, Any], told: str | None
) -> None:
    wire = GEMINI.encode_chat(ChatRequest(messages=ASK, reasoning_effort=effort), route(model))
    assert json.loads(wire.body)["generationConfig"]["thinkingConfig"] == config
    note = f"reasoning_effort: this model has no '{effort}', '{told}' was sent"
    assert wire.adjusted == (() if told is None else (note,))
    assert "generationConfig" not in sent(FLASH_2_0, reasoning_effort="none")


def test_system_messages_go_first_and_roles_alternate() -> None:
    talk = [
        Message("system", "One."),
        Message("user", "a"),
        Message("user", "b"),
        Message("assistant", "c"),
        Message("system", "Two."),
        Message("user", "d"),
    ]
    wire = GEMINI.encode_chat(ChatRequest(messages=talk), route())
    body = json.loads(wire.body)
    assert body["systemInstruction"] == {"parts": [{"text": "One."}, {"text": "Two."}]}
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "model", "parts": [{"text": "c"}]},
        {"role": "user", "parts": [{"text": "d"}]},
    ]
    assert wire.adjusted == ("messages.4: system messages go first with this vendor",)


def test_a_system_alone_asks_nothing() -> None:
    with pytest.raises(InvalidRequest, match="messages"):
        sent(messages=ASK[:1])


def test_images_inline_and_by_address() -> None:
    parts = [
        Part(text="What is this?"),
        Part(image_data=ImageData("AAAA", "image/png")),
        Part(image_url=ImageUrl("data:image/webp;base64,BBBB")),
        Part(image_url=ImageUrl("https://example.com/a.jpg?x=1")),
        Part(image_url=ImageUrl("https://example.com/a", "high")),
    ]
    assert sent(messages=[Message("user", parts)])["contents"][0]["parts"] == [
        {"text": "What is this?"},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"inlineData": {"mimeType": "image/webp", "data": "BBBB"}},
        {"fileData": {"fileUri": "https://example.com/a.jpg?x=1", "mimeType": "image/jpeg"}},
        {"fileData": {"fileUri": "https://example.com/a"}},
    ]
    told = GEMINI.encode_chat(ChatRequest(messages=[Message("user", parts)]), route(FLASH_3)).adjusted
    assert told == ("messages.0.content.4: this vendor takes no detail",)


def conversation(first: str = f"8f2b~{SIGNATURE}", second: str = "9a") -> list[Message]:
    calls = [
        ToolCall(first, FunctionCall("get_weather", '{"n": 1.50}')),
        ToolCall(second, FunctionCall("get_time", "")),
    ]
    return [
        Message("user", "And?"),
        Message("assistant", "Look:", tool_calls=calls),
        Message("tool", "sunny", tool_call_id=first),
        Message("tool", '{"hour": 12}', tool_call_id=second),
    ]


def test_tools_their_calls_and_their_results() -> None:
    wire = GEMINI.encode_chat(ChatRequest(messages=conversation(), tools=[WEATHER, TIME]), route())
    assert b'{"n": 1.50}' in wire.body, "arguments pass as they were written"
    body = json.loads(wire.body)
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "get_weather",
                    "description": "Weather of a city",
                    "parametersJsonSchema": {"type": "object", "properties": {}},
                },
                {"name": "get_time"},
            ]
        }
    ]
    assert "toolConfig" not in body
    assert body["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"text": "Look:"},
                {
                    "functionCall": {"name": "get_weather", "args": {"n": 1.5}, "id": "8f2b"},
                    "thoughtSignature": SIGNATURE,
                },
                {"functionCall": {"name": "get_time", "args": {}, "id": "9a"}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"name": "get_weather", "response": {"output": "sunny"}, "id": "8f2b"}},
                {"functionResponse": {"name": "get_time", "response": {"hour": 12}, "id": "9a"}},
            ],
        },
    ]


def test_calls_that_another_model_made_are_marked_as_such_where_signatures_are_needed() -> None:
    parts = sent(messages=conversation("a"))["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [None, "skip_thought_signature_validator", None]
    parts = sent(FLASH_2_5, messages=conversation("a"))["contents"][1]["parts"]
    assert all("thoughtSignature" not in part for part in parts)


def test_a_signature_survives_the_way_through_a_caller() -> None:
    result = GEMINI.decode_chat(CHAT, (PUBLISHED / "gemini" / "chat_tools.json").read_bytes())
    assert result.finish_reason == "tool_calls"
    calls = result.message.tool_calls
    assert isinstance(calls, list)
    assert calls[0].function == FunctionCall("get_current_temperature", '{"location": "Zürich", "unit": "celsius"}')
    talk = [*ASK, Message("assistant", "", tool_calls=calls), Message("tool", "20", tool_call_id=calls[0].id)]
    parts = sent(messages=talk)["contents"][1]["parts"]
    assert parts == [
        {
            "functionCall": {
                "name": "get_current_temperature",
                "args": {"location": "Zürich", "unit": "celsius"},
                "id": "8f2b1a3c",
            },
            "thoughtSignature": SIGNATURE,
        }
    ]


def test_calls_without_an_id_get_one_that_no_other_has() -> None:
    part = {"functionCall": {"name": "f"}}
    body = json.dumps({"candidates": [{"content": {"parts": [part, part]}, "finishReason": "STOP"}]}).encode()
    calls = GEMINI.decode_chat(CHAT, body).message.tool_calls
    assert isinstance(calls, list)
    assert calls[0].id.startswith("call_")
    assert calls[0].id != calls[1].id
    assert calls[0].function.arguments == "{}"


def test_a_result_of_no_call_is_named() -> None:
    with pytest.raises(InvalidRequest) as caught:
        sent(messages=[*ASK, Message("tool", "x", tool_call_id="lost")])
    assert caught.value.errors[0].loc == ("body", "messages", 2, "tool_call_id")


@pytest.mark.parametrize("arguments", ["[1]", "{", "7", '{"a":' + "[" * 100_000])
def test_arguments_that_are_no_object_are_named(arguments: str) -> None:
    talk = [*ASK, Message("assistant", "", tool_calls=[ToolCall("t1", FunctionCall("f", arguments))])]
    with pytest.raises(InvalidRequest) as caught:
        sent(messages=talk)
    assert caught.value.errors[0].loc == ("body", "messages", 2, "tool_calls", 0, "function", "arguments")


@pytest.mark.parametrize(
    ("tools", "choice", "expected"),
    [
        ([TIME], None, None),
        ([TIME], "auto", {"mode": "AUTO"}),
        ([TIME], "none", {"mode": "NONE"}),
        ([TIME], "required", {"mode": "ANY"}),
        ([TIME], NamedTool(FunctionName("get_time")), {"mode": "ANY", "allowedFunctionNames": ["get_time"]}),
        ([STRICT], None, {"mode": "VALIDATED"}),
        ([STRICT], "required", {"mode": "ANY"}),
        (None, "none", None),
    ],
)
def test_tool_choice(tools: Any, choice: Any, expected: dict[str, Any] | None) -> None:
    config = sent(tools=tools, tool_choice=choice, parallel_tool_calls=True).get("toolConfig")
    assert config == (None if expected is None else {"functionCallingConfig": expected})


def test_a_choice_without_tools_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="tool_choice"):
        sent(tool_choice="required")


def test_json_with_and_without_a_schema() -> None:
    schema = {"type": "object", "properties": {}}
    wanted = ResponseFormat("json_schema", JsonSchema("Answer", schema, "An answer.", True))
    assert sent(response_format=wanted)["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"description": "An answer.", **schema},
    }
    assert sent(response_format=ResponseFormat("json_object"))["generationConfig"] == {
        "responseMimeType": "application/json"
    }
    assert "generationConfig" not in sent(response_format=ResponseFormat("text"))


def test_request_parameters_of_the_model_go_into_the_configuration() -> None:
    bindings = Bindings({"mediaResolution": "MEDIA_RESOLUTION_LOW"})
    assert sent(temperature=0.5, model_request_parameters=bindings)["generationConfig"] == {
        "temperature": 0.5,
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
    }
    for name in ("topK", "candidateCount"):
        with pytest.raises(InvalidRequest, match=name):
            sent(model_request_parameters=Bindings({name: 1}))


def test_a_completion_is_a_chat_of_one_message() -> None:
    request = CompletionRequest(prompts=["The sky is"], max_tokens=5)
    body = json.loads(GEMINI.encode_completion(request, route()).body)
    assert body["contents"] == [{"role": "user", "parts": [{"text": "The sky is"}]}]
    result = GEMINI.decode_completion(request, (PUBLISHED / "gemini" / "completion.json").read_bytes())
    assert result.completions == [("The sky is", [" blue."])]
    assert (result.prompt_tokens, result.response_tokens) == (4, 2)


def test_rerankings_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="Vertex AI has no rerankings"):
        VERTEX.encode_reranking(RerankingRequest("q", ["a"]), vertex_route())


def test_thoughts_count_as_part_of_the_answer() -> None:
    # totalTokenCount = promptTokenCount + candidatesTokenCount + toolUsePromptTokenCount + thoughtsTokenCount
    result = GEMINI.decode_chat(CHAT, (PUBLISHED / "gemini" / "chat_thinking.json").read_bytes())
    assert (result.message.content, result.reasoning) == ("There are 3.", "**Counting**\n\nThree r's.\n")
    assert (result.prompt_tokens, result.response_tokens) == (2048, 5 + 96)
    assert (result.cached_tokens, result.reasoning_tokens) == (1024, 96)


def test_log_probabilities_have_as_many_alternatives_as_asked() -> None:
    body = (PUBLISHED / "gemini" / "chat_logprobs.json").read_bytes()
    for asked in (0, 1, 2, 5):
        result = GEMINI.decode_chat(ChatRequest(messages=ASK, logprobs=True, top_logprobs=asked), body)
        assert result.logprobs is not None
        assert [token.token for token in result.logprobs] == ["Hi", "!"]
        assert [token.logprob for token in result.logprobs] == [-0.1, -0.5]
        assert all(len(token.top_logprobs) == min(asked, 2) for token in result.logprobs)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("SPII", "content_filter"),
        ("LANGUAGE", "content_filter"),
        ("OTHER", "stop"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_finish_reasons(theirs: str, ours: str) -> None:
    body = json.dumps({"candidates": [{"finishReason": theirs}]}).encode()
    assert GEMINI.decode_chat(CHAT, body).finish_reason == ours
    assert fold_chat(GEMINI.stream_decoder(CHAT), b"data: " + body + b"\n\n").finish_reason == ours


@pytest.mark.parametrize("theirs", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"])
def test_an_answer_that_failed_is_no_answer(theirs: str) -> None:
    candidate = {"finishReason": theirs, "finishMessage": "Malformed function call: f("}
    body = json.dumps({"candidates": [candidate]}).encode()
    with pytest.raises(UpstreamError, match=r"f\("):
        GEMINI.decode_chat(CHAT, body)
    with pytest.raises(UpstreamError, match=r"f\("):
        GEMINI.stream_decoder(CHAT).feed(b"data: " + body + b"\n\n")


def test_a_blocked_prompt_is_the_callers_to_mend() -> None:
    body = (PUBLISHED / "gemini" / "blocked.json").read_bytes()
    for read in (
        lambda: GEMINI.decode_chat(CHAT, body),
        lambda: GEMINI.stream_decoder(CHAT).feed(b"data: " + body + b"\n"),
    ):
        with pytest.raises(InvalidRequest, match="PROHIBITED_CONTENT") as caught:
            read()
        assert caught.value.code == "content_filtered"


def test_embeddings_of_the_gemini_api() -> None:
    request = EmbeddingRequest(["a", "b"], Bindings({"taskType": "RETRIEVAL_QUERY", "dimensions": 2}))
    wire = GEMINI.encode_embedding(request, route("gemini-embedding-001"))
    assert wire.path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    each = {"model": "models/gemini-embedding-001", "taskType": "RETRIEVAL_QUERY", "outputDimensionality": 2}
    assert json.loads(wire.body) == {
        "requests": [{**each, "content": {"parts": [{"text": text}]}} for text in ("a", "b")]
    }
    body = (PUBLISHED / "gemini" / "embeddings.json").read_bytes()
    result = GEMINI.decode_embedding(request, body)
    assert json.loads(bytes(result.embeddings)) == [["a", [0.1, -0.0025]], ["b", [1, 0]]]
    assert b"-2.5e-3" in bytes(result.embeddings), "numbers pass through as they were written"
    assert result.tokens_used == 6
    with pytest.raises(UpstreamError):
        GEMINI.decode_embedding(EmbeddingRequest(["a"]), body)
    with pytest.raises(InvalidRequest, match="content"):
        GEMINI.encode_embedding(EmbeddingRequest(["a"], Bindings({"content": 1})), route())
    assert GEMINI.most_texts(route()) == 100


def test_embeddings_of_vertex_by_prediction() -> None:
    request = EmbeddingRequest(["a", "b"], Bindings({"taskType": "RETRIEVAL_QUERY", "dimensions": 2}))
    there = vertex_route("text-embedding-005")
    wire = VERTEX.encode_embedding(request, there)
    assert wire.path.endswith("/publishers/google/models/text-embedding-005:predict")
    assert json.loads(wire.body) == {
        "instances": [{"content": text, "task_type": "RETRIEVAL_QUERY"} for text in ("a", "b")],
        "parameters": {"autoTruncate": False, "outputDimensionality": 2},
    }
    result = VERTEX.decode_embedding(request, (PUBLISHED / "vertex" / "embeddings.json").read_bytes())
    assert json.loads(bytes(result.embeddings)) == [["a", [0.1, -0.0025]], ["b", [1, 0]]]
    assert result.tokens_used == 6
    assert VERTEX.most_texts(there) == 250
    assert VERTEX.most_texts(vertex_route("gemini-embedding-001")) == 1


def test_embeddings_of_vertex_one_by_one() -> None:
    request = EmbeddingRequest(["a"], Bindings({"autoTruncate": True}))
    there = vertex_route("gemini-embedding-2")
    wire = VERTEX.encode_embedding(request, there)
    assert wire.path.endswith("/gemini-embedding-2:embedContent")
    assert json.loads(wire.body) == {
        "content": {"parts": [{"text": "a"}]},
        "embedContentConfig": {"autoTruncate": True},
    }
    result = VERTEX.decode_embedding(request, (PUBLISHED / "vertex" / "embedding.json").read_bytes())
    assert json.loads(bytes(result.embeddings)) == [["a", [0.1, -0.0025]]]
    assert result.tokens_used == 4
    with pytest.raises(InvalidRequest, match="texts"):
        VERTEX.encode_embedding(EmbeddingRequest(["a", "b"]), there)
    with pytest.raises(UpstreamError):
        VERTEX.decode_embedding(request, b'{"x": 1}')


INFO = "type.googleapis.com/google.rpc."


def fault(code: int, status: str, message: str, *details: dict[str, Any]) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "status": status, "details": details}}).encode()


BAD_KEY = {"@type": INFO + "ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
NO_BILL = {"@type": INFO + "ErrorInfo", "reason": "BILLING_DISABLED"}
LATER = {"@type": INFO + "RetryInfo", "retryDelay": "34.07s"}

ERRORS = [
    (400, fault(400, "INVALID_ARGUMENT", "Invalid value at 'contents'"), 422, "refused_by_vendor"),
    (400, fault(400, "INVALID_ARGUMENT", "Something is wrong with it.", BAD_KEY), 502, "credentials"),
    (400, fault(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."), 502, "credentials"),
    (
        400,
        fault(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens allowed (8)."),
        422,
        "context",
    ),
    (400, fault(400, "FAILED_PRECONDITION", "Please enable billing on your project."), 502, "vendor_unpaid"),
    (401, fault(401, "UNAUTHENTICATED", "Request had invalid credentials"), 502, "credentials"),
    (403, fault(403, "PERMISSION_DENIED", "not for you"), 502, "credentials"),
    (403, fault(403, "PERMISSION_DENIED", "pay", NO_BILL), 502, "vendor_unpaid"),
    (404, fault(404, "NOT_FOUND", "models/x is not found"), 502, "vendor_model_unknown"),
    (429, fault(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", LATER), 429, "vendor_rate_limited"),
    (500, fault(500, "INTERNAL", "An internal error has occurred"), 502, "vendor_failed"),
    (503, fault(503, "UNAVAILABLE", "The model is overloaded."), 503, "vendor_busy"),
    (504, fault(504, "DEADLINE_EXCEEDED", "too slow"), 504, "upstream_timeout"),
    (499, fault(499, "CANCELLED", "cancelled"), 502, "vendor_failed"),
    (404, b"<!DOCTYPE html><html><title>Error 404 (Not Found)!!1</title>", 502, "vendor_model_unknown"),
    (502, b"", 502, "vendor_failed"),
    (400, b"[]", 422, "refused_by_vendor"),
]


@pytest.mark.parametrize("as_array", [False, True])
@pytest.mark.parametrize(("status", "body", "ours", "code"), ERRORS)
def test_errors(status: int, body: bytes, ours: int, code: str, as_array: bool) -> None:
    codes = {"context": CONTEXT_LENGTH_EXCEEDED, "credentials": "vendor_credentials_invalid"}
    error = GEMINI.decode_error(status, b"[" + body + b"]" if as_array and body[:1] == b"{" else body)
    assert (status_of(error), error.code) == (ours, codes.get(code, code))
    if body[:1] == b"{":
        assert json.loads(body)["error"]["message"] in str(error)
        assert "Gemini" in str(error)


def test_when_to_come_back_stands_in_the_body() -> None:
    error = VERTEX.decode_error(429, fault(429, "RESOURCE_EXHAUSTED", "slowly", LATER))
    assert isinstance(error, RateLimited)
    assert error.retry_after == 34.07
    assert "Vertex AI" in str(error)
    odd = {"@type": INFO + "RetryInfo", "retryDelay": "soon"}
    error = VERTEX.decode_error(429, fault(429, "RESOURCE_EXHAUSTED", "slowly", odd))
    assert isinstance(error, RateLimited)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("generation_config.max_output_tokens", "max_tokens"),
        ("generationConfig.topP", "top_p"),
        ("contents[0].parts[1].inline_data", "messages"),
        ("tools[0].function_declarations[0].name", "tools"),
    ],
)
def test_the_field_is_named_in_the_requests_own_words(theirs: str, ours: str) -> None:
    details = {"@type": INFO + "BadRequest", "fieldViolations": [{"field": theirs, "description": "no"}]}
    error = GEMINI.decode_error(400, fault(400, "INVALID_ARGUMENT", "no", details))
    assert isinstance(error, InvalidRequest)
    assert error.errors[0].loc == ("body", ours)


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [(503, "UNAVAILABLE", Unavailable), (500, "INTERNAL", UpstreamError), (400, "INVALID_ARGUMENT", InvalidRequest)],
)
def test_an_error_within_a_stream_is_raised(code: int, status: str, expected: type[ModelyardError]) -> None:
    decoder = GEMINI.stream_decoder(CHAT)
    assert decoder.feed((PUBLISHED / "gemini" / "chat.sse").read_bytes().split(b"\r\n\r\n")[0] + b"\r\n\r\n")
    with pytest.raises(expected, match="so it is"):
        decoder.feed(b"data: " + fault(code, status, "so it is") + b"\r\n\r\n")
