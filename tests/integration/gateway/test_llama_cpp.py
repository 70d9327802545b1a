"""The gateway in front of llama.cpp's real server, on a tiny model: a byte is a token."""

import asyncio
import json
from typing import Any

import pytest
from gateway_house import House
from llama_worker import WINDOW, Llama

from modelyard.domain.usage import Outcome


def turn(number: int) -> list[dict[str, str]]:
    return [
        {"role": "user", "content": f"{number} " + "q" * 200},
        {"role": "assistant", "content": f"{number} " + "a" * 200},
    ]


async def test_whole_and_streamed_answers_agree(house: House, llama: Llama) -> None:
    settings: dict[str, Any] = {"temperature": 0, "max_tokens": 12, "top_logprobs": 2}
    whole = (await house.chat(**settings)).json()
    streamed = await house.chat(**settings, stream=True)
    pieces = [json.loads(block[6:]) for block in streamed.text.split("\n\n") if block]
    assert "".join(piece["completions"][0][1][0] for piece in pieces) == whole["completions"][0][1][0]
    told = [
        token
        for piece in pieces
        if piece["choices"][0]["logprobs"]
        for token in piece["choices"][0]["logprobs"]["content"]
    ]
    assert len(told) == len(whole["choices"][0]["logprobs"]["content"])
    assert pieces[-1]["finish_reason"] == whole["finish_reason"]
    assert pieces[-1]["prompt_tokens"] == whole["prompt_tokens"] == len("<|user|>Hi\n<|assistant|>")
    assert [record.outcome for record in house.usage.records] == [Outcome.OK, Outcome.OK]
    assert not any(record.estimated for record in house.usage.records)


async def test_the_count_before_is_the_count_after(house: House, llama: Llama) -> None:
    history = [message for number in range(30) for message in turn(number)]
    response = await house.chat(chat_history=history, max_tokens=50, temperature=0)
    assert response.status_code == 200, response.text
    dropped = int(response.headers["x-history-messages-dropped"])
    assert dropped > 0
    assert dropped % 2 == 0
    counted = int(response.headers["x-prompt-tokens"])
    assert counted == response.json()["prompt_tokens"]
    one_turn = len("".join(f"<|{message['role']}|>{message['content']}\n" for message in turn(10)))
    assert counted <= WINDOW - 50 < counted + one_turn, "as little as possible is dropped"


async def test_what_is_too_long_is_refused_before_it_is_sent(house: House, llama: Llama) -> None:
    response = await house.chat(prompt="x" * 5000)
    assert response.status_code == 422
    assert response.json()["code"] == "context_length_exceeded"
    tokens = 5000 + len("<|user|>" + "\n<|assistant|>")
    assert f"{tokens} tokens" in response.json()["detail"][0]["msg"]


@pytest.mark.parametrize(("template", "tokens"), [("{{ messages[0].content }}!", 3), ("{{ bos_token }}{{ x * 5 }}", 6)])
async def test_a_calls_own_template_is_honoured(house: House, llama: Llama, template: str, tokens: int) -> None:
    response = await house.chat(chat_template=template, chat_template_kwargs={"x": "y"}, max_tokens=2, temperature=0)
    assert response.status_code == 200, response.text
    assert response.json()["prompt_tokens"] == tokens


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_frees_the_engines_slot(house: House, llama: Llama, stream: bool) -> None:
    endless = {"bindings": {"ignore_eos": True}}
    call = asyncio.create_task(house.chat(stream=stream, max_tokens=4000, model_request_parameters=endless))
    await llama.wait_busy(1)
    await asyncio.sleep(0.1)
    call.cancel()
    await llama.wait_busy(0)
    assert (await house.record()).outcome is Outcome.CANCELLED
    assert house.gateway.in_flight("w0") == 0
