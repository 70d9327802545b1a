"""What workers of the OpenAI tests answer."""

import json
from typing import Any

from gateway_house import Asked

CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells it",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 4,
    "prompt_tokens_details": {"cached_tokens": 8},
    "completion_tokens_details": {"reasoning_tokens": 3},
}


def event(data: Any) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def delta(text: dict[str, Any], reason: str | None = None, logprobs: Any = None) -> bytes:
    return event({"choices": [{"index": 0, "delta": text, "finish_reason": reason, "logprobs": logprobs}]})


def counted(**usage: Any) -> bytes:
    return event({"choices": [], "usage": usage or USAGE}) + b"data: [DONE]\n\n"


async def chat_with_tools(asked: Asked) -> None:
    """Calls the tool where one is offered and no answer of it is there yet; else says what it was told."""
    body = asked.json
    last = body["messages"][-1]
    if body.get("tools") and last["role"] != "tool":
        said: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": [CALL]}
        pieces = [
            delta({"tool_calls": [{**CALL, "index": 0, "function": {"name": "weather", "arguments": ""}}]}),
            delta({"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]}),
            delta({"tool_calls": [{"index": 0, "function": {"arguments": '"Oslo"}'}}]}),
        ]
        reason = "tool_calls"
    else:
        said = {"role": "assistant", "content": f"It is {last['content']}", "reasoning_content": "hm"}
        pieces = [delta({"reasoning_content": "hm"}), delta({"content": "It is "}), delta({"content": last["content"]})]
        reason = "stop"
    if body.get("stream"):
        await asked.stream(*pieces, delta({}, reason), counted())
    else:
        await asked.answer({"choices": [{"index": 0, "message": said, "finish_reason": reason}], "usage": USAGE})


async def seeded(asked: Asked) -> None:
    """Answers with the seed it was given, so that choices can be told apart; completions say their prompt too."""
    body = asked.json
    text = f"{body.get('prompt', 'seed')} {body.get('seed')}"
    logprobs = {
        "tokens": [text],
        "token_logprobs": [-0.5],
        "top_logprobs": [{text: -0.5, "other": -1.5}],
    }
    if body.get("stream"):
        words = text.split(" ")
        kind = "delta" if "messages" in body else "text"
        choices = [
            {"index": 0, kind: {"content": word} if kind == "delta" else word, "finish_reason": None} for word in words
        ]
        end = {"index": 0, kind: {} if kind == "delta" else "", "finish_reason": "stop"}
        await asked.stream(
            *(event({"choices": [choice]}) for choice in (*choices, end)), counted(prompt_tokens=5, completion_tokens=2)
        )
        return
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    if "messages" in body:
        choice["message"] = {"role": "assistant", "content": text}
    else:
        choice |= {"text": text, "logprobs": logprobs if body.get("logprobs") else None}
    await asked.answer({"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 2}})


async def vectors(asked: Asked) -> None:
    data = [{"index": index, "embedding": [index + 0.5, -1.25, 3.0]} for index in range(len(asked.json["input"]))]
    await asked.answer({"data": data, "usage": {"prompt_tokens": 6, "total_tokens": 6}})


async def scores(asked: Asked) -> None:
    """The longer a document, the better."""
    results = [
        {"index": index, "relevance_score": len(text) / 10} for index, text in enumerate(asked.json["documents"])
    ]
    await asked.answer({"results": results, "usage": {"total_tokens": 9}})
