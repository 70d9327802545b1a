"""What goes to Bedrock, checked against botocore's own model of the service; what is refused; what its errors mean.

Formats: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, and for InvokeModel
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

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
from modelyard.errors import InvalidRequest, UpstreamError
from modelyard.gateway.adapters.bedrock import BedrockAdapter
from modelyard.gateway.adapters.bedrock_models import Reasoning, plain_id, profile_of
from modelyard.gateway.adapters.wire import WireRequest
from modelyard.http.errors import status_of
from modelyard.testing.gateway import make_route

BEDROCK = BedrockAdapter()
PUBLISHED = Path(__file__).parent / "published" / "bedrock"
CONVERSE = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2")).operation_model("Converse")
CLAUDE = "us.anthropic.claude-haiku-4-5-20251001-v1:0"
NEWEST = "global.anthropic.claude-opus-5-5-v1:0"
NOVA = "amazon.nova-2-lite-v1:0"
COMMAND = "cohere.command-r-plus-v1:0"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
ASK = [Message("system", "Be brief."), Message("user", "Say hi")]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
CALL = ToolCall("id1", FunctionCall("weather", '{"city": "Paris"}'))
TOOLS = [Tool(ToolFunction("weather", "Tells it", SCHEMA, strict=True)), Tool(ToolFunction("now"))]


def route(model: str) -> Route:
    target = VendorTarget(ModelVendor.BEDROCK, model, "https://bedrock-runtime.us-east-1.amazonaws.com", 8000)
    return make_route(vendor=target)


def converse(model: str = CLAUDE, **changes: Any) -> WireRequest:
    wire = BEDROCK.encode_chat(ChatRequest(**{"messages": ASK, **changes}), route(model))
    report = ParamValidator().validate({"modelId": model, **json.loads(wire.body)}, CONVERSE.input_shape)
    assert not report.has_errors(), report.generate_report()
    return wire


def sent(wire: WireRequest) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(wire.body)
    return body


def refused(**changes: Any) -> tuple[str | int, ...]:
    with pytest.raises(InvalidRequest) as caught:
        converse(**changes)
    return caught.value.errors[0].loc


def test_every_setting_has_its_place() -> None:
    wire = converse(temperature=0.5, top_p=0.9, top_k=40.0, max_tokens=7, stop_sequences=["a", "b"])
    assert wire.adjusted == ()
    assert sent(wire) == {
        "system": [{"text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"text": "Say hi"}]}],
        "inferenceConfig": {"maxTokens": 7, "temperature": 0.5, "topP": 0.9, "stopSequences": ["a", "b"]},
        "additionalModelRequestFields": {"top_k": 40},
    }


def test_what_was_not_asked_for_is_not_sent() -> None:
    assert sent(converse(messages=ASK[1:])) == {"messages": [{"role": "user", "content": [{"text": "Say hi"}]}]}


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (CLAUDE, "/model/us.anthropic.claude-haiku-4-5-20251001-v1%3A0/converse"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-lite-v1:0",
            "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.amazon.nova-lite-v1%3A0/converse",
        ),
    ],
)
def test_the_path_names_the_model(model: str, path: str) -> None:
    assert converse(model).path == path
    assert converse(model, stream=True).path == f"{path}-stream"


@pytest.mark.parametrize(
    ("model", "given", "further"),
    [
        (CLAUDE, {"top_k": 5.0}, {"top_k": 5}),
        (NOVA, {"top_k": 5.0}, {"inferenceConfig": {"topK": 5}}),
        (COMMAND, {"top_k": 5.0, "seed": 3, "frequency_penalty": 0.5}, {"k": 5, "seed": 3, "frequency_penalty": 0.5}),
        ("mistral.mistral-large-2407-v1:0", {"top_k": 5.0}, {"top_k": 5}),
        ("ai21.jamba-1-5-large-v1:0", {"presence_penalty": 0.5}, {"presence_penalty": 0.5}),
        (NOVA, {"reasoning_effort": "low"}, {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}),
        ("openai.gpt-oss-120b-1:0", {"reasoning_effort": "high"}, {"reasoning_effort": "high"}),
        (CLAUDE, {"reasoning_effort": "medium"}, {"thinking": {"type": "enabled", "budget_tokens": 4096}}),
        (NEWEST, {"reasoning_effort": "medium"}, {"thinking": {"type": "adaptive"}}),
        ("anthropic.claude-opus-5-v1:0", {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        (NOVA, {"reasoning_effort": "none"}, None),
        (CLAUDE, {"reasoning_effort": "none"}, None),
        (LLAMA, {"model_request_parameters": Bindings({"x": 1})}, {"x": 1}),
    ],
)
def test_each_family_has_its_own_places(model: str, given: dict[str, Any], further: dict[str, Any]) -> None:
    assert sent(converse(model, **given)).get("additionalModelRequestFields") == further


@pytest.mark.parametrize(
    ("model", "effort", "told"), [(NEWEST, "none", "low"), (NEWEST, "minimal", "low"), (NOVA, "xhigh", "high")]
)
def test_an_effort_that_a_model_lacks_becomes_the_nearest(model: str, effort: Any, told: str) -> None:
    wire = converse(model, reasoning_effort=effort)
    body = sent(wire)
    nova = body["additionalModelRequestFields"].get("reasoningConfig", {}).get("maxReasoningEffort")
    assert told in (nova, body.get("outputConfig", {}).get("effort"))
    assert wire.adjusted == (f"reasoning_effort: this model has no '{effort}', '{told}' was sent",)


def test_the_newest_of_claude_are_told_no_temperature() -> None:
    wire = converse(NEWEST, temperature=0.2, max_tokens=7)
    assert sent(wire)["inferenceConfig"] == {"maxTokens": 7}
    assert wire.adjusted == ("temperature: this model takes none, so it was left out",)
    assert sent(converse("anthropic.claude-sonnet-4-6", temperature=0.2))["inferenceConfig"] == {"temperature": 0.2}


def test_the_newest_models_take_an_effort() -> None:
    body = sent(
        converse(
            NEWEST, reasoning_effort="high", response_format=ResponseFormat("json_schema", JsonSchema("c", SCHEMA))
        )
    )
    assert body["outputConfig"]["effort"] == "high"
    assert json.loads(body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"]) == SCHEMA


@pytest.mark.parametrize(
    ("model", "reasoning"),
    [
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", Reasoning.NONE),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", Reasoning.BUDGET),
        ("eu.anthropic.claude-sonnet-4-20250514-v1:0", Reasoning.BUDGET),
        ("anthropic.claude-opus-4-6-v1", Reasoning.ADAPTIVE),
        ("amazon.nova-pro-v1:0", Reasoning.NONE),
        ("us-gov.amazon.nova-2-lite-v1:0", Reasoning.NOVA),
        ("deepseek.v3-v1:0", Reasoning.NONE),
    ],
)
def test_models_know_their_family(model: str, reasoning: Reasoning) -> None:
    assert profile_of(model).reasoning is reasoning
    assert profile_of(f"arn:aws:bedrock:us-east-1::foundation-model/{plain_id(model)}").reasoning is reasoning


@pytest.mark.parametrize(
    ("given", "section", "value", "note"),
    [
        ({"temperature": 1.5}, "inferenceConfig", {"temperature": 1}, "temperature: "),
        ({"max_tokens": 9000}, "inferenceConfig", {"maxTokens": 8000}, "max_tokens: "),
        ({"tools": TOOLS, "tool_choice": "none"}, "toolConfig", None, "tool_choice: "),
        (
            {"reasoning_effort": "high", "max_tokens": 3000},
            "additionalModelRequestFields",
            {"thinking": {"type": "enabled", "budget_tokens": 2999}},
            "reasoning_effort: ",
        ),
        ({"messages": [*ASK, ASK[0]]}, "system", [{"text": "Be brief."}, {"text": "Be brief."}], "messages.2: "),
    ],
)
def test_what_is_sent_otherwise_than_asked_is_reported(
    given: dict[str, Any], section: str, value: Any, note: str
) -> None:
    wire = converse(**given)
    assert sent(wire).get(section) == value
    assert [each.startswith(note) and each.isascii() for each in wire.adjusted] == [True]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"presence_penalty": -0.5}, "presence_penalty"),
        ({"seed": 1}, "seed"),
        ({"model": LLAMA, "top_k": 5.0}, "top_k"),
        ({"model": NEWEST, "top_k": 5.0}, "top_k"),
        ({"model": NEWEST, "top_p": 0.5}, "top_p"),
        ({"top_k": 2.5}, "top_k"),
        ({"model": LLAMA, "reasoning_effort": "low"}, "reasoning_effort"),
        ({"reasoning_effort": "low", "max_tokens": 1000}, "reasoning_effort"),
        ({"chat_template": "x"}, "chat_template"),
        ({"chat_template_kwargs": {"x": 1}}, "chat_template_kwargs"),
        ({"tools": TOOLS, "parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": ResponseFormat("json_object")}, "response_format"),
        ({"top_k": 5.0, "model_request_parameters": Bindings({"top_k": 7})}, "model_request_parameters"),
        ({"messages": [ASK[0]]}, "messages"),
    ],
)
def test_what_a_model_lacks_is_refused_by_name(given: dict[str, Any], field: str) -> None:
    assert refused(**given)[-1] == field


def test_values_that_ask_for_nothing_are_no_reason_to_refuse() -> None:
    wire = converse(logprobs=False, frequency_penalty=0.0, tool_choice="auto", response_format=ResponseFormat("text"))
    assert set(sent(wire)) == {"system", "messages"}
    assert wire.adjusted == ()


def test_tools_and_how_they_are_chosen() -> None:
    config = sent(converse(tools=TOOLS, tool_choice="required"))["toolConfig"]
    assert config == {
        "tools": [
            {
                "toolSpec": {
                    "name": "weather",
                    "inputSchema": {"json": SCHEMA},
                    "description": "Tells it",
                    "strict": True,
                }
            },
            {"toolSpec": {"name": "now", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
        ],
        "toolChoice": {"any": {}},
    }
    named = NamedTool(FunctionName("now"))
    assert sent(converse(tools=TOOLS, tool_choice=named))["toolConfig"]["toolChoice"] == {"tool": {"name": "now"}}
    assert "toolChoice" not in sent(converse(tools=TOOLS, tool_choice="auto"))["toolConfig"]


def test_calls_and_their_results_go_back_in_turns() -> None:
    other = ToolCall("id2", FunctionCall("now", ""))
    messages = [
        ASK[1],
        Message("user", "And the weather?"),
        Message("assistant", "", [CALL, other]),
        Message("tool", "sunny", tool_call_id="id1"),
        Message("tool", "", tool_call_id="id2"),
    ]
    assert sent(converse(messages=messages, tools=TOOLS))["messages"] == [
        {"role": "user", "content": [{"text": "Say hi"}, {"text": "And the weather?"}]},
        {
            "role": "assistant",
            "content": [
                {"toolUse": {"toolUseId": "id1", "name": "weather", "input": {"city": "Paris"}}},
                {"toolUse": {"toolUseId": "id2", "name": "now", "input": {}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "id1", "content": [{"text": "sunny"}]}},
                {"toolResult": {"toolUseId": "id2", "content": []}},
            ],
        },
    ]
    assert refused(messages=messages, tools=TOOLS, tool_choice="none")[-1] == "tool_choice"
    thinking = converse(messages=messages, tools=TOOLS, reasoning_effort="low")
    assert "additionalModelRequestFields" not in sent(thinking)
    assert thinking.adjusted[0].startswith("reasoning_effort: ")


def test_ids_of_other_vendors_calls_become_ones_that_bedrock_takes() -> None:
    call = ToolCall("call~with/" + "x" * 100, FunctionCall("f", "{}"))
    messages = [ASK[1], Message("assistant", "", [call]), Message("tool", "done", tool_call_id=call.id)]
    _, asked, answered = sent(converse(messages=messages))["messages"]
    [use], [result] = asked["content"], answered["content"]
    assert use["toolUse"]["toolUseId"] == result["toolResult"]["toolUseId"]


def test_an_arn_that_tells_no_family_may_be_told_one() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3d4e5f6"
    with pytest.raises(InvalidRequest, match="top_k"):
        converse(arn, top_k=5.0)
    told = VendorTarget(ModelVendor.BEDROCK, arn, "https://x", parameters={"base_model": "amazon.nova-lite-v1:0"})
    wire = BEDROCK.encode_chat(ChatRequest(messages=ASK, top_k=5.0), make_route(vendor=told))
    assert sent(wire)["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 5}}
    titan = VendorTarget(
        ModelVendor.BEDROCK, arn, "https://x", parameters={"base_model": "amazon.titan-embed-text-v2:0"}
    )
    assert sent(BEDROCK.encode_embedding(EmbeddingRequest(["a"]), make_route(vendor=titan))) == {"inputText": "a"}


@pytest.mark.parametrize("arguments", ["{", "[]", '"x"', "nul"])
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    messages = [ASK[1], Message("assistant", "", [ToolCall("id1", FunctionCall("f", arguments))])]
    assert refused(messages=messages) == ("body", "messages", 1, "tool_calls", 0, "function", "arguments")


def test_images_go_inline() -> None:
    parts = [
        Part(text="What is this?"),
        Part(image_data=ImageData("AAAA", "image/png")),
        Part(image_url=ImageUrl("data:image/jpg;base64,BBBB", "low")),
    ]
    wire = converse(messages=[Message("user", parts)])
    assert sent(wire)["messages"][0]["content"] == [
        {"text": "What is this?"},
        {"image": {"format": "png", "source": {"bytes": "AAAA"}}},
        {"image": {"format": "jpeg", "source": {"bytes": "BBBB"}}},
    ]
    assert wire.adjusted == ("messages.0.content.2: this vendor takes no detail",)


@pytest.mark.parametrize(
    "part", [Part(image_url=ImageUrl("https://example.com/a.png")), Part(image_data=ImageData("AAAA", "image/bmp"))]
)
def test_other_images_are_refused(part: Part) -> None:
    assert refused(messages=[Message("user", [Part(text="?"), part])]) == ("body", "messages", 0, "content", 1)


def test_a_schema_goes_as_a_text() -> None:
    named = ResponseFormat("json_schema", JsonSchema("city", SCHEMA, "A city"))
    assert sent(converse(response_format=named))["outputConfig"] == {
        "textFormat": {
            "type": "json_schema",
            "structure": {
                "jsonSchema": {
                    "schema": '{"type":"object","properties":{"city":{"type":"string"}}}',
                    "name": "city",
                    "description": "A city",
                }
            },
        }
    }


def test_plain_completion_is_a_chat_of_one_message() -> None:
    request = CompletionRequest(prompts=["The sky is"], max_tokens=3)
    wire = BEDROCK.encode_completion(request, route(CLAUDE))
    assert sent(wire)["messages"] == [{"role": "user", "content": [{"text": "The sky is"}]}]
    body = (PUBLISHED / "chat.json").read_bytes()
    assert BEDROCK.decode_completion(request, body).completions == [("The sky is", ["Hi! Grüße – 你好 👋"])]


def test_titan_embeds_one_text_at_a_time() -> None:
    titan = route("amazon.titan-embed-text-v2:0")
    assert BEDROCK.most_texts(titan) == 1
    request = EmbeddingRequest(["a"], Bindings({"dimensions": 256, "normalize": True}))
    wire = BEDROCK.encode_embedding(request, titan)
    assert (wire.path, wire.adjusted) == ("/model/amazon.titan-embed-text-v2%3A0/invoke", ())
    assert sent(wire) == {"inputText": "a", "dimensions": 256, "normalize": True}
    result = BEDROCK.decode_embedding(request, (PUBLISHED / "embeddings_titan.json").read_bytes())
    assert (bytes(result.embeddings), result.tokens_used) == (b'[["a",[0.1,-2.5e-3]]]', 3)


@pytest.mark.parametrize("answer", ["embeddings_cohere", "embeddings_cohere_floats"])
def test_cohere_embeds_many(answer: str) -> None:
    cohere = route("cohere.embed-multilingual-v3")
    assert BEDROCK.most_texts(cohere) == 96
    request = EmbeddingRequest(["a", "b"])
    wire = BEDROCK.encode_embedding(request, cohere)
    assert sent(wire) == {"texts": ["a", "b"], "embedding_types": ["float"], "input_type": "search_document"}
    assert wire.adjusted[0].startswith("input_type: ")
    told = EmbeddingRequest(["a"], Bindings({"input_type": "search_query", "dimensions": 256}))
    wire = BEDROCK.encode_embedding(told, cohere)
    assert (sent(wire)["input_type"], sent(wire)["output_dimension"], wire.adjusted) == ("search_query", 256, ())
    body = (PUBLISHED / f"{answer}.json").read_bytes()
    result = BEDROCK.decode_embedding(request, body)
    assert (bytes(result.embeddings), result.tokens_used) == (b'[["a",[0.1,-2.5e-3]],["b",[1,0]]]', None)
    with pytest.raises(UpstreamError, match="2 embeddings for 1"):
        BEDROCK.decode_embedding(told, body)


@pytest.mark.parametrize(
    ("model", "further"), [("cohere.rerank-v3-5:0", {"api_version": 2}), ("amazon.rerank-v1:0", {})]
)
def test_rerankings_ask_for_all_scores(model: str, further: dict[str, Any]) -> None:
    request = RerankingRequest("q", ["a", "b"])
    wire = BEDROCK.encode_reranking(request, route(model))
    assert sent(wire) == {"query": "q", "documents": ["a", "b"], "top_n": 2, **further}
    result = BEDROCK.decode_reranking(request, (PUBLISHED / "rerankings.json").read_bytes())
    assert (result.chunk_scores, result.tokens_used) == ([0.25, 0.9375], None)
    with pytest.raises(UpstreamError, match="2 scores for 1"):
        BEDROCK.decode_reranking(RerankingRequest("q", ["a"]), (PUBLISHED / "rerankings.json").read_bytes())
    with pytest.raises(InvalidRequest, match="instruction"):
        BEDROCK.encode_reranking(RerankingRequest("q", ["a"], "be strict"), route(model))


def test_formats_that_are_not_known_are_said_to_be() -> None:
    with pytest.raises(InvalidRequest, match="format that is not known"):
        BEDROCK.encode_embedding(EmbeddingRequest(["a"]), route("amazon.nova-2-multimodal-embeddings-v1:0"))
    with pytest.raises(InvalidRequest, match="format that is not known"):
        BEDROCK.encode_reranking(RerankingRequest("q", ["a"]), route(CLAUDE))


TOO_LONG = (422, CONTEXT_LENGTH_EXCEEDED)
REFUSED = (422, "refused_by_vendor")
CREDENTIALS = (502, "vendor_credentials_invalid")
UNKNOWN = (502, "vendor_model_unknown")
FAILED = (502, "vendor_failed")
BUSY = (503, "vendor_busy")


@pytest.mark.parametrize(
    ("status", "words", "told"),
    [
        (400, "Malformed input request: expected maxLength: 5", REFUSED),
        (400, "messages.1.thinking: Invalid `signature` in `thinking` block", REFUSED),
        (400, "Input is too long for requested model.", TOO_LONG),
        (400, "The model returned the following errors: prompt is too long: 9 tokens > 8 maximum", TOO_LONG),
        (400, "400 Bad Request: Too many input tokens. Max input tokens: 8192", TOO_LONG),
        (400, "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000", TOO_LONG),
        (400, "The provided model identifier is invalid.", UNKNOWN),
        (400, "Invocation of model ID x with on-demand throughput isn’t supported.", UNKNOWN),
        (400, "Output blocked by content filtering policy", (422, "content_filtered")),
        (400, "The security token included in the request is expired", CREDENTIALS),
        (403, "The security token included in the request is invalid.", CREDENTIALS),
        (403, "The request signature we calculated does not match the signature you provided.", CREDENTIALS),
        (403, "You don't have access to the model with the specified model ID.", CREDENTIALS),
        (404, "Could not resolve the foundation model", UNKNOWN),
        (408, "Model has timed out in processing the request.", (504, "upstream_timeout")),
        (424, "The system encountered an unexpected error during processing.", FAILED),
        (429, "Too many tokens, please wait before trying again.", (429, "vendor_rate_limited")),
        (429, "The model is not ready for inference.", BUSY),
        (500, "The system encountered an unexpected error", FAILED),
        (503, "Bedrock is unable to process your request.", BUSY),
    ],
)
def test_errors(status: int, words: str, told: tuple[int, str]) -> None:
    error = BEDROCK.decode_error(status, json.dumps({"message": words}).encode())
    assert (status_of(error), error.code) == told
    assert words in str(error)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"__type": "com.amazon.coral.service#UnrecognizedClientException", "message": "no"}, CREDENTIALS),
        ({"__type": "ThrottlingException:http://internal.amazon.com/", "message": "no"}, (429, "vendor_rate_limited")),
        ({"Message": "Authentication failed: Please make sure your API Key is valid."}, CREDENTIALS),
        ({"message": None}, REFUSED),
    ],
)
def test_types_in_the_body_and_other_spellings_count(body: dict[str, Any], told: tuple[int, str]) -> None:
    error = BEDROCK.decode_error(400, json.dumps(body).encode())
    assert (status_of(error), error.code) == told


def test_a_max_tokens_that_is_too_large_is_named() -> None:
    words = "The maximum tokens you requested exceeds the model limit of 4096. Try again with a maximum tokens value"
    error = BEDROCK.decode_error(400, json.dumps({"message": words}).encode())
    assert isinstance(error, InvalidRequest)
    assert error.errors[0].loc == ("body", "max_tokens")


@pytest.mark.parametrize("body", [b"", b"<html><head><title>503 Service Unavailable</title>", b"\xff", b"[]"])
def test_other_bodies_are_errors_too(body: bytes) -> None:
    error = BEDROCK.decode_error(503, body)
    assert error.code == "vendor_busy"
    assert "<" not in str(error)
