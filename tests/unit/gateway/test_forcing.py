"""Calls that have to be made, of a server that only keeps to schemas."""

import json
from typing import Any

import pytest
from msgspec import UNSET

from modelyard.domain.inference import (
    ChatRequest,
    Chunk,
    FunctionName,
    Message,
    NamedTool,
    Tool,
    ToolChoice,
    ToolFunction,
)
from modelyard.gateway.adapters.openai import OpenAIAdapter
from modelyard.gateway.folding import fold_chat
from modelyard.gateway.forcing import ForcedStream, as_schema, described, forced_tools

CITY = {"type": "object", "properties": {"city": {"$ref": "#/$defs/City"}}, "$defs": {"City": {"type": "string"}}}
WEATHER, NOW = Tool(ToolFunction("weather", "Tells it", CITY)), Tool(ToolFunction("now"))


def request(choice: ToolChoice | None, *tools: Tool) -> ChatRequest:
    return ChatRequest(
        messages=[Message("user", "?")], tools=list(tools) or None, tool_choice=choice, parallel_tool_calls=True
    )


@pytest.mark.parametrize(
    ("choice", "tools", "forced"),
    [
        (None, (WEATHER,), []),
        ("auto", (WEATHER,), []),
        ("none", (WEATHER,), []),
        ("required", (), []),
        ("required", (WEATHER, NOW), [WEATHER, NOW]),
        (NamedTool(FunctionName("now")), (WEATHER, NOW), [NOW]),
    ],
)
def test_which_tools_have_to_be_called(choice: Any, tools: tuple[Tool, ...], forced: list[Tool]) -> None:
    assert forced_tools(request(choice, *tools)) == forced


def test_one_tools_schema_is_its_arguments() -> None:
    made = as_schema(request("required", WEATHER), [WEATHER])
    assert made.response_format is not None
    assert made.response_format.json_schema is not None
    assert made.response_format.json_schema.schema == CITY
    assert (made.tool_choice, made.parallel_tool_calls, made.tools) == ("none", None, [WEATHER])


def test_of_several_tools_the_schema_says_which_and_references_still_find_what_they_mean() -> None:
    made = as_schema(request("required", NOW, WEATHER), [NOW, WEATHER])
    assert made.response_format is not None
    assert made.response_format.json_schema is not None
    schema: Any = made.response_format.json_schema.schema
    assert [each["properties"]["name"]["const"] for each in schema["anyOf"]] == ["now", "weather"]
    reference = schema["anyOf"][1]["properties"]["arguments"]["properties"]["city"]["$ref"]
    found = schema
    for step in reference.removeprefix("#/").split("/"):
        found = found[int(step)] if isinstance(found, list) else found[step]
    assert found == {"type": "string"}


def test_a_template_without_tools_has_them_in_the_system_message() -> None:
    plain = described(request("required", NOW))
    assert [message.role for message in plain.messages] == ["system", "user"]
    assert '"name":"now"' in plain.messages[0].content
    given = ChatRequest(messages=[Message("system", "Be brief."), Message("user", "?")], tools=[NOW])
    told = described(given).messages
    assert [message.role for message in told] == ["system", "user"]
    assert str(told[0].content).startswith("Be brief.\n\n")


def stream(*texts: str, reason: str = "stop") -> bytes:
    def event(data: Any) -> bytes:
        return b"data: " + json.dumps(data).encode() + b"\n\n"

    pieces = [event({"choices": [{"delta": {"content": text}}]}) for text in texts]
    end = event({"choices": [{"delta": {}, "finish_reason": reason}]})
    return b"".join(pieces) + end + event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})


def decoder(*tools: Tool) -> ForcedStream:
    return ForcedStream(OpenAIAdapter().stream_decoder(request("required", *tools)), tools)


def test_pieces_of_one_tools_arguments_are_passed_on_as_they_come() -> None:
    chunks = decoder(WEATHER).feed(stream('{"ci', 'ty": "Oslo"}'))
    pieces = [chunk.tool_calls[0] for chunk in chunks if chunk.tool_calls]
    assert [(piece.name, piece.arguments) for piece in pieces] == [("weather", '{"ci'), (None, 'ty": "Oslo"}')]
    assert not any(chunk.text for chunk in chunks)


@pytest.mark.parametrize(
    ("tools", "texts"),
    [
        ((WEATHER,), ('{"city": ', '"Oslo"}')),
        ((NOW, WEATHER), ('{"name": "wea', 'ther", "arguments": {"city": "Oslo"}}')),
    ],
)
def test_what_comes_back_is_a_call(tools: tuple[Tool, ...], texts: tuple[str, ...]) -> None:
    result = fold_chat(decoder(*tools), stream(*texts))
    assert (result.message.content, result.finish_reason, result.response_tokens) == ("", "tool_calls", 2)
    assert isinstance(result.message.tool_calls, list)
    (call,) = result.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Oslo"})
    assert call.id.startswith("call_")


def test_a_call_that_was_cut_off_says_so() -> None:
    one = fold_chat(decoder(WEATHER), stream('{"ci', reason="length"))
    assert one.finish_reason == "length"
    assert isinstance(one.message.tool_calls, list)
    assert one.message.tool_calls[0].function.arguments == '{"ci'
    several = fold_chat(decoder(NOW, WEATHER), stream('{"name": "wea', reason="length"))
    assert (several.message.content, several.message.tool_calls, several.finish_reason) == (
        '{"name": "wea',
        UNSET,
        "length",
    )


def test_thoughts_pass() -> None:
    body = b'data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}\n\n' + stream("{}")
    chunks = decoder(WEATHER).feed(body)
    assert chunks[0] == Chunk(reasoning="hm")
