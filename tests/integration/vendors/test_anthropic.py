"""Anthropic's models through a whole server: the key, the format's version, what is changed and told, and errors."""

import json
from typing import Any

import pytest
from fake_formats import answers, breaks_off, events, root
from fake_vendor import FakeVendor
from vendor_house import House, Start

MODEL = "claude-haiku-4-5"


@pytest.fixture
async def house(start: Start, vendor: FakeVendor) -> House:
    return await start({"anthropic": {"api_key": "sk-ant-1", "base_url": root(vendor)}})


async def test_a_chat(house: House, vendor: FakeVendor) -> None:
    answers(vendor, "anthropic/chat_thinking.json")
    history = [{"role": "system", "content": "Be brief."}]
    answer = await house.chat(MODEL, "Hi", chat_history=history, temperature=1.5, stop_sequences=["x"])
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["completions"] == [["Hi", ["The greatest common divisor is 21."]]]
    assert (told["finish_reason"], told["prompt_tokens"], told["response_tokens"]) == ("stop", 2020, 140)
    [asked] = vendor.asked
    assert asked.path == "/v1/messages"
    assert asked.headers["x-api-key"] == "sk-ant-1"
    assert asked.headers["anthropic-version"] == "2023-06-01"
    assert asked.body["system"] == "Be brief."
    assert asked.body["temperature"] == 1
    adjusted = answer.headers["x-parameters-adjusted"]
    assert "temperature: 1.5 is out of range here, 1 was sent" in adjusted
    assert "max_tokens" in adjusted


async def test_a_stream(house: House, vendor: FakeVendor) -> None:
    answers(vendor, "anthropic/chat.sse")
    answer = await house.chat(MODEL, "Hi", stream=True, max_tokens=50)
    assert answer.headers["content-type"].startswith("text/event-stream")
    *pieces, last = events(answer.text)
    assert "".join(piece["completions"][0][1][0] for piece in pieces) == "Hello! 你好."
    assert (last["finish_reason"], last["prompt_tokens"], last["response_tokens"]) == ("stop", 25, 15)
    assert vendor.asked[0].body["stream"] is True


async def test_a_completion_by_way_of_a_chat(house: House, vendor: FakeVendor) -> None:
    await house.model("old-style", "ANTHROPIC", "COMPLETION", model=MODEL)
    for _ in range(2):
        answers(vendor, "anthropic/completion.json")
    body = {"prompt": "The sky is", "max_tokens": 5}
    answer = await house.http.post("/v4/models/old-style/completions", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["completions"] == [["The sky is", [" blue."]]]
    assert vendor.asked[0].body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "The sky is"}]}]


async def test_tools_by_execute(house: House, vendor: FakeVendor) -> None:
    answers(vendor, "anthropic/chat_parallel_tools.json")
    tool = {"type": "function", "function": {"name": "get_time"}}
    request = {"messages": [{"role": "user", "content": "When?"}], "tools": [tool], "max_tokens": 50}
    [deployment] = (await house.http.get(f"/v4/models/{await _id(house)}/deployments")).json()["items"]
    path = f"/v4/models/{deployment['model_instance_id']}/deployments/{deployment['id']}/execute"
    answer = await house.http.post(path, json=request)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["finish_reason"] == "tool_calls"
    assert [call["function"] for call in told["message"]["tool_calls"]] == [
        {"name": "get_time", "arguments": "{}"},
        {"name": "get_weather", "arguments": '{"city": "Zürich"}'},
    ]


async def _id(house: House) -> str:
    page = await house.http.get("/v4/models", params={"limit": 1000})
    return next(str(each["id"]) for each in page.json()["items"] if each["name"] == MODEL)


async def test_what_the_vendor_lacks_costs_no_call(house: House, vendor: FakeVendor) -> None:
    answer = await house.chat(MODEL, "Hi", presence_penalty=1.0)
    assert (answer.status_code, answer.json()["code"]) == (422, "unsupported_parameter")
    assert answer.json()["detail"][0]["loc"] == ["body", "presence_penalty"]
    assert vendor.asked == []


def _fault(kind: str, message: str = "so it is") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


@pytest.mark.parametrize(
    ("status", "kind", "ours", "code", "tries"),
    [
        (401, "authentication_error", 502, "vendor_credentials_invalid", 1),
        (400, "invalid_request_error", 422, "refused_by_vendor", 1),
        (529, "overloaded_error", 503, "vendor_busy", 3),
    ],
)
async def test_errors(
    house: House, vendor: FakeVendor, status: int, kind: str, ours: int, code: str, tries: int
) -> None:
    for _ in range(tries):
        vendor.answer(status, _fault(kind))
    answer = await house.chat(MODEL, "Hi", max_tokens=5)
    assert (answer.status_code, answer.json()["code"]) == (ours, code)
    assert "so it is" in json.dumps(answer.json()["detail"])
    assert len(vendor.asked) == tries
    if ours == 503:
        assert int(answer.headers["retry-after"]) >= 1


async def test_an_overload_that_passes_is_not_noticed(house: House, vendor: FakeVendor) -> None:
    vendor.answer(529, _fault("overloaded_error"))
    answers(vendor, "anthropic/chat.json")
    answer = await house.chat(MODEL, "Hi", max_tokens=5)
    assert answer.status_code == 200, answer.text
    assert len(vendor.asked) == 2


async def test_a_limit_says_when_to_come_back(house: House, vendor: FakeVendor) -> None:
    vendor.answer(429, _fault("rate_limit_error"), retry_after="34")
    answer = await house.chat(MODEL, "Hi", max_tokens=5)
    assert (answer.status_code, answer.json()["code"]) == (429, "vendor_rate_limited")
    assert answer.headers["retry-after"] == "34"


async def test_an_error_half_way_is_an_event(house: House, vendor: FakeVendor) -> None:
    fault = f"event: error\ndata: {json.dumps(_fault('overloaded_error', 'Overloaded'))}"
    breaks_off(vendor, "anthropic/chat.sse", fault)
    answer = await house.chat(MODEL, "Hi", stream=True, max_tokens=5)
    assert answer.status_code == 200
    assert "event: error" in answer.text
    assert "vendor_busy" in answer.text
    assert "Hello" in answer.text


async def test_a_stream_that_only_ends_is_cut_off(house: House, vendor: FakeVendor) -> None:
    breaks_off(vendor, "anthropic/chat.sse", ": the end")
    answer = await house.chat(MODEL, "Hi", stream=True, max_tokens=5)
    assert "event: error" in answer.text
    assert "upstream_cut_off" in answer.text
