"""Tools, response formats and what is told of tokens, to and from servers, whole and streamed."""

import json
from typing import Any

import pytest
from msgspec import UNSET

from modelyard.domain.inference import (
    ChatRequest,
    ChatResult,
    FunctionCall,
    FunctionName,
    JsonSchema,
    Message,
    NamedTool,
    ResponseFormat,
    Tool,
    ToolCall,
    ToolFunction,
)
from modelyard.domain.routes import Route
from modelyard.errors import InvalidRequest, UpstreamError
from modelyard.gateway.adapters.openai import OpenAIAdapter
from modelyard.gateway.adapters.sgp import SgpAdapter
from modelyard.gateway.adapters.wire import StreamDecoder
from modelyard.gateway.folding import as_chunks, fold_calls, fold_chat
from modelyard.testing.gateway import make_route

OPENAI, SGP = OpenAIAdapter(), SgpAdapter()
ROUTE: Route = make_route()
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CALL = ToolCall("call_1", FunctionCall("weather", '{"city":"Oslo"}'))
REQUEST = ChatRequest(
    messages=[
        Message("user", "How is the weather?"),
        Message("assistant", "", tool_calls=[CALL]),
        Message("tool", "rain", tool_call_id="call_1"),
    ],
    tools=[Tool(ToolFunction("weather", "Tells it", SCHEMA, strict=True)), Tool(ToolFunction("now"))],
    tool_choice=NamedTool(FunctionName("weather")),
    parallel_tool_calls=False,
    response_format=ResponseFormat("json_schema", JsonSchema("answer", SCHEMA, strict=True)),
    seed=7,
)
WIRE_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}


def test_tools_reach_an_openai_server_in_its_own_shape() -> None:
    body = json.loads(OPENAI.encode_chat(REQUEST, ROUTE).body)
    assert body["messages"] == [
        {"role": "user", "content": "How is the weather?"},
        {"role": "assistant", "content": "", "tool_calls": [WIRE_CALL]},
        {"role": "tool", "content": "rain", "tool_call_id": "call_1"},
    ]
    weather = {"name": "weather", "description": "Tells it", "parameters": SCHEMA, "strict": True}
    now = {"name": "now", "parameters": {"type": "object", "properties": {}}}
    assert body["tools"] == [{"type": "function", "function": weather}, {"type": "function", "function": now}]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert body["parallel_tool_calls"] is False
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
    }
    assert body["seed"] == 7


def test_an_sgp_worker_gets_them_as_native_fields() -> None:
    body = json.loads(SGP.encode_chat(REQUEST, ROUTE).body)
    assert body["messages"][1]["tool_calls"] == [WIRE_CALL]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert (body["seed"], body["parallel_tool_calls"]) == (7, False)
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA


@pytest.mark.parametrize("name", ["tools", "response_format"])
def test_a_template_of_the_calls_own_leaves_no_place_for_them(name: str) -> None:
    request = ChatRequest(messages=REQUEST.messages[:1], **{name: getattr(REQUEST, name)})
    with pytest.raises(InvalidRequest, match=name):
        OPENAI.encode_rendered(request, "Hi")


OPENAI_WHOLE = {
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [WIRE_CALL, {**WIRE_CALL, "id": "call_2"}],
            },
        }
    ],
    "usage": {
        "prompt_tokens": 20,
        "completion_tokens": 9,
        "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 16, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 4},
    },
}


def event(data: Any) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def delta(*calls: dict[str, Any], reason: str | None = None) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"tool_calls": list(calls)}, "finish_reason": reason}]})


def named(index: int, id: str) -> dict[str, Any]:
    return {"index": index, "id": id, "type": "function", "function": {"name": "weather", "arguments": ""}}


def more(index: int, arguments: str) -> dict[str, Any]:
    return {"index": index, "function": {"arguments": arguments}}


OPENAI_STREAM = (
    delta(named(0, "call_1"))
    + delta(more(0, '{"ci'))
    + delta(more(0, 'ty":"Oslo"}'), named(1, "call_2"))
    + delta(more(1, '{"city":"Oslo"}'))
    + delta(reason="tool_calls")
    + event({"choices": [], "usage": OPENAI_WHOLE["usage"]})
    + b"data: [DONE]\n\n"
)
SGP_WHOLE: dict[str, Any] = {
    "message": {"role": "assistant", "content": "", "tool_calls": [WIRE_CALL, {**WIRE_CALL, "id": "call_2"}]},
    "finish_reason": "tool_calls",
    "prompt_tokens": 20,
    "response_tokens": 9,
    "cached_tokens": 16,
    "reasoning_tokens": 4,
}
SGP_STREAM = (
    event({"tool_calls": [{"index": 0, "id": "call_1", "name": "weather"}]})
    + event({"tool_calls": [{"index": 0, "arguments": '{"city":'}]})
    + event({"tool_calls": [{"index": 0, "arguments": '"Oslo"}'}, {"index": 1, "id": "call_2", "name": "weather"}]})
    + event({"tool_calls": [{"index": 1, "arguments": '{"city":"Oslo"}'}]})
    + event({"cached_tokens": 16, "reasoning_tokens": 4})
    + event({"finish_reason": "tool_calls", "prompt_tokens": 20, "response_tokens": 9})
)
SGP_RESULTS = event({"message": {"content": None, "tool_calls": [WIRE_CALL]}}) + event(
    {**SGP_WHOLE, "message": {"content": "", "tool_calls": [{**WIRE_CALL, "id": "call_2"}]}}
)
EXPECTED = [CALL, ToolCall("call_2", CALL.function)]

SGP_WITHOUT_CONTENT = {**SGP_WHOLE, "message": {"content": None, "tool_calls": SGP_WHOLE["message"]["tool_calls"]}}

CASES = [
    pytest.param(OPENAI, OPENAI_WHOLE, OPENAI_STREAM, id="openai"),
    pytest.param(SGP, SGP_WHOLE, SGP_STREAM, id="sgp"),
    pytest.param(SGP, SGP_WHOLE, SGP_RESULTS, id="sgp-results"),
    pytest.param(SGP, SGP_WITHOUT_CONTENT, SGP_RESULTS, id="sgp-without-content"),
]


@pytest.mark.parametrize(("adapter", "whole", "stream"), CASES)
def test_calls_and_counts_come_back_the_same_whole_and_streamed(
    adapter: OpenAIAdapter | SgpAdapter, whole: Any, stream: bytes
) -> None:
    result = adapter.decode_chat(REQUEST, json.dumps(whole).encode())
    assert result.message.tool_calls == EXPECTED
    assert (result.message.content, result.finish_reason) == ("", "tool_calls")
    assert (result.prompt_tokens, result.response_tokens) == (20, 9)
    assert (result.cached_tokens, result.reasoning_tokens) == (16, 4)
    assert fold_chat(adapter.stream_decoder(REQUEST), stream) == result
    assert _folded(as_chunks(result)) == EXPECTED


@pytest.mark.parametrize(("adapter", "whole", "stream"), CASES)
def test_a_stream_of_calls_split_at_every_byte_folds_to_the_same(
    adapter: OpenAIAdapter | SgpAdapter, whole: Any, stream: bytes
) -> None:
    for cut in range(1, len(stream)):
        decoder: StreamDecoder = adapter.stream_decoder(REQUEST)
        chunks = [*decoder.feed(stream[:cut]), *decoder.feed(stream[cut:]), *decoder.flush()]
        assert _folded(chunks) == EXPECTED
        assert (chunks[-1].cached_tokens, chunks[-1].reasoning_tokens) == (16, 4)


def _folded(chunks: Any) -> list[ToolCall]:
    return fold_calls(piece for chunk in chunks for piece in chunk.tool_calls or ())


def test_a_server_that_gives_its_calls_no_ids_gets_them() -> None:
    bare = {"function": {"name": "weather", "arguments": "{}"}}
    body = {"choices": [{"message": {"content": None, "tool_calls": [bare, bare]}, "finish_reason": "tool_calls"}]}
    result = OPENAI.decode_chat(REQUEST, json.dumps(body).encode())
    assert isinstance(result.message.tool_calls, list)
    assert len({call.id for call in result.message.tool_calls}) == 2
    stream = delta(bare, bare) + delta(reason="tool_calls")
    streamed = fold_chat(OPENAI.stream_decoder(REQUEST), stream).message.tool_calls
    assert isinstance(streamed, list)
    assert [call.function for call in streamed] == [FunctionCall("weather", "{}")] * 2
    assert len({call.id for call in streamed}) == 2


def test_a_call_without_a_name_is_an_upstream_error() -> None:
    with pytest.raises(UpstreamError, match="no name"):
        fold_chat(OPENAI.stream_decoder(REQUEST), delta(more(0, "{}")) + delta(reason="tool_calls"))


def test_a_message_with_nothing_in_it_is_an_upstream_error() -> None:
    with pytest.raises(UpstreamError, match="no content"):
        SGP.decode_chat(REQUEST, b'{"message": {"role": "assistant"}}')


def test_nothing_is_told_of_tokens_that_a_server_does_not_tell_apart() -> None:
    body = b'{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}'
    result: ChatResult = OPENAI.decode_chat(REQUEST, body)
    assert (result.cached_tokens, result.reasoning_tokens, result.message.tool_calls) == (UNSET, UNSET, UNSET)


def test_a_refusal_is_what_was_said() -> None:
    body = b'{"choices":[{"message":{"content":null,"refusal":"I will not."},"finish_reason":"stop"}]}'
    assert OPENAI.decode_chat(REQUEST, body).message.content == "I will not."
