"""The official openai client through the gateway to llama.cpp's real server."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from gateway_house import House
from llama_worker import WINDOW, Llama, llama_behind
from openai import AsyncOpenAI
from openai_answers import WEATHER
from pydantic import BaseModel

from modelyard.domain.usage import Outcome
from modelyard.testing.gateway import KEY

ASK: Any = [{"role": "user", "content": "Hi"}]
PROMPT = len("<|user|>Hi\n<|assistant|>")


@pytest.fixture
async def client(house: House, llama: Llama) -> AsyncIterator[AsyncOpenAI]:
    url = f"{house.base_url}/v1"
    async with AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0, _strict_response_validation=True) as made:
        yield made


async def test_whole_and_streamed_answers_agree(house: House, client: AsyncOpenAI) -> None:
    settings: Any = {"model": "chat", "messages": ASK, "temperature": 0, "max_tokens": 12, "seed": 1}
    whole = await client.chat.completions.create(**settings, logprobs=True, top_logprobs=2)
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (PROMPT, 12)
    assert whole.choices[0].finish_reason == "length"
    logprobs = whole.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert 1 <= len(logprobs.content) <= 12
    assert all(len(token.top_logprobs) == 2 for token in logprobs.content)
    stream = await client.chat.completions.create(**settings, stream=True, stream_options={"include_usage": True})
    pieces = [piece async for piece in stream]
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    assert text == whole.choices[0].message.content
    assert pieces[-1].usage is not None
    assert pieces[-1].usage.completion_tokens == 12
    assert not any(record.estimated for record in house.usage.records)


async def test_choices_with_seeds_of_their_own(house: House, client: AsyncOpenAI) -> None:
    settings: Any = {"model": "chat", "messages": ASK, "max_tokens": 16, "temperature": 1, "extra_body": {"top_k": 40}}
    three = await client.chat.completions.create(**settings, n=3, seed=7)
    texts = [choice.message.content for choice in three.choices]
    assert len(set(texts)) == 3
    again = await client.chat.completions.create(**settings, seed=8)
    assert again.choices[0].message.content == texts[1]
    record = house.usage.records[0]
    assert (record.prompt_tokens, record.response_tokens) == (PROMPT, 3 * 16)


class Answer(BaseModel):
    yes: bool


async def test_a_schema_is_kept_to(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.parse(model="chat", messages=ASK, response_format=Answer, temperature=0)
    assert isinstance(answer.choices[0].message.parsed, Answer)


async def test_what_is_too_long_is_openais_error_and_nothing_is_dropped(client: AsyncOpenAI) -> None:
    turns: Any = [{"role": "user", "content": "q" * 1000}, {"role": "assistant", "content": "a" * 1000}] * 3
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="chat", messages=[*turns, *ASK])
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "messages")
    assert str(WINDOW) in caught.value.message
    trimmed = await client.chat.completions.with_raw_response.create(
        model="chat", messages=[*turns, *ASK], max_tokens=4, extra_headers={"x-trim-history": "true"}
    )
    assert int(trimmed.headers["x-history-messages-dropped"]) == 2
    usage = trimmed.parse().usage
    assert usage is not None
    assert usage.prompt_tokens == int(trimmed.headers["x-prompt-tokens"])


async def test_tools_count_too(client: AsyncOpenAI, llama: Llama) -> None:
    """Its template writes no tools, and only llama.cpp knows that: what looks too long is counted, and fits."""
    tool: Any = {**WEATHER, "function": {**WEATHER["function"], "description": "d" * WINDOW * 3}}
    answer = await client.chat.completions.create(model="chat", messages=ASK, tools=[tool], max_tokens=2)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == PROMPT


FLAG: Any = {
    "type": "function",
    "function": {
        "name": "raise_flag",
        "parameters": {
            "type": "object",
            "properties": {"high": {"$ref": "#/$defs/Yes"}},
            "required": ["high"],
            "additionalProperties": False,
            "$defs": {"Yes": {"type": "boolean"}},
        },
    },
}
STOP: Any = {"type": "function", "function": {"name": "stop"}}


@pytest.mark.parametrize(
    ("tools", "choice", "called"),
    [
        ([FLAG, STOP], {"type": "function", "function": {"name": "raise_flag"}}, {"raise_flag"}),
        ([FLAG], "required", {"raise_flag"}),
        ([FLAG, STOP], "required", {"raise_flag", "stop"}),
    ],
)
async def test_a_call_that_has_to_be_made_is_made(
    client: AsyncOpenAI, tools: Any, choice: Any, called: set[str]
) -> None:
    """By a model of random weights, so it is the server that sees to it."""
    settings: Any = {"model": "chat", "messages": ASK, "tools": tools, "tool_choice": choice, "seed": 1}
    whole = await client.chat.completions.create(**settings)
    assert whole.choices[0].finish_reason == "tool_calls"
    assert whole.choices[0].message.tool_calls is not None
    (call,) = whole.choices[0].message.tool_calls
    assert call.type == "function"
    assert call.function.name in called
    arguments = json.loads(call.function.arguments)
    assert arguments == {} if call.function.name == "stop" else isinstance(arguments["high"], bool)
    async with client.chat.completions.stream(**settings) as stream:
        streamed = (await stream.get_final_completion()).choices[0]
    assert streamed.finish_reason == "tool_calls"
    assert streamed.message.tool_calls is not None
    assert streamed.message.tool_calls[0].function.name in called


async def test_tools_that_a_template_does_not_write_are_told(client: AsyncOpenAI) -> None:
    raw = await client.chat.completions.with_raw_response.create(model="chat", messages=ASK, tools=[FLAG], max_tokens=2)
    assert "chat template tells it of none" in raw.headers["x-parameters-adjusted"]


TOOLS_TEMPLATE = (
    "{% if tools %}{% for t in tools %}{{ t.function.name }}{{ t.function.description }}{% endfor %}{% endif %}"
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
    "{% for c in m.tool_calls or [] %}{{ c.function.name }}{% endfor %}{{ '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


async def test_tools_are_counted_as_the_template_writes_them(house: House, tmp_path: Path) -> None:
    async with (
        llama_behind(house, tmp_path, chat_template=TOOLS_TEMPLATE),
        AsyncOpenAI(base_url=f"{house.base_url}/v1", api_key=KEY, max_retries=0) as client,
    ):
        tool: Any = {"type": "function", "function": {"name": "look", "description": "d" * 2000}}
        turns: Any = [{"role": "user", "content": "q" * 600}, {"role": "assistant", "content": "a" * 600}] * 3
        body: Any = {"model": "chat", "messages": [*turns, *ASK], "tools": [tool], "max_tokens": 4}
        body["tool_choice"] = "none"  # what random weights write is no call that llama.cpp could read
        raw = await client.chat.completions.with_raw_response.create(**body, extra_headers={"x-trim-history": "true"})
        assert int(raw.headers["x-history-messages-dropped"]) == 4
        usage = raw.parse().usage
        assert usage is not None
        assert usage.prompt_tokens == int(raw.headers["x-prompt-tokens"])
        one_turn = len("<|user|>\n<|assistant|>\n") + 1200
        assert usage.prompt_tokens == len("look") + 2000 + one_turn + PROMPT
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(**body)
        assert caught.value.code == "context_length_exceeded"


async def test_log_probabilities_are_streamed(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="chat", messages=ASK, max_tokens=6, temperature=0, logprobs=True, top_logprobs=1, stream=True
    )
    tokens = [
        token
        async for piece in stream
        for choice in piece.choices
        if choice.logprobs is not None
        for token in choice.logprobs.content or ()
    ]
    assert 1 <= len(tokens) <= 6
    assert all(len(token.top_logprobs) == 1 for token in tokens)


async def test_a_template_of_the_calls_own(client: AsyncOpenAI) -> None:
    own: Any = {"chat_template": "{{ messages[0].content }}{{ mark }}", "chat_template_kwargs": {"mark": "!"}}
    answer = await client.chat.completions.create(model="chat", messages=ASK, max_tokens=2, extra_body=own)
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 3


async def test_a_declared_parameter_is_a_field_like_any_other(client: AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="chat", messages=ASK, max_tokens=300, extra_body={"ignore_eos": True}
    )
    assert answer.choices[0].finish_reason == "length"
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="chat", messages=ASK, extra_body={"ignore_eos": "yes"})
    assert caught.value.param == "model_request_parameters.bindings.ignore_eos"


async def test_completions_stream_side_by_side(client: AsyncOpenAI) -> None:
    settings: Any = {"model": "chat", "prompt": ["one", "three"], "max_tokens": 8, "temperature": 0}
    whole = await client.completions.create(**settings)
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (len("onethree"), 16)
    texts = {0: "", 1: ""}
    lenient = client.with_options(_extra_kwargs={"_strict_response_validation": False})
    async for piece in await lenient.completions.create(**settings, stream=True):
        texts[piece.choices[0].index] += piece.choices[0].text
    assert [texts[0], texts[1]] == [choice.text for choice in whole.choices]


@pytest.mark.parametrize("n", [1, 3])
async def test_a_client_that_leaves_frees_every_slot(house: House, client: AsyncOpenAI, llama: Llama, n: int) -> None:
    body: Any = {"model": "chat", "messages": ASK, "max_tokens": 4000, "extra_body": {"ignore_eos": True}}
    call = asyncio.create_task(client.chat.completions.create(**body, n=n))
    await llama.wait_busy(min(n, 2))
    await asyncio.sleep(0.1)
    call.cancel()
    await llama.wait_busy(0)
    assert (await house.record()).outcome is Outcome.CANCELLED
    assert house.gateway.in_flight("w0") == 0


async def test_llama_cpps_own_words_about_a_schema_reach_the_caller(client: AsyncOpenAI) -> None:
    wrong: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nothing"}}}
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model="chat", messages=ASK, response_format=wrong)
    assert caught.value.code == "refused_by_worker"
    assert json.dumps("nothing")[1:-1] in caught.value.message
