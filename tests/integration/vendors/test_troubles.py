"""What callers learn of a vendor's troubles, and what they never notice."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fake_vendor import FakeVendor
from starlette.responses import StreamingResponse
from vendor_house import House, Start


async def openai(start: Start, vendor: FakeVendor, *, key: str = "sk-1", **more: Any) -> House:
    retries = {"retries": more.pop("retries")} if "retries" in more else {}
    return await start({"openai": {"api_key": key, "base_url": vendor.url, **more}, **retries})


@pytest.mark.parametrize(
    ("status", "vendors", "told", "code"),
    [
        (401, "invalid_api_key", 502, "vendor_credentials_invalid"),
        (403, "unsupported_country", 502, "vendor_credentials_invalid"),
        (404, "model_not_found", 502, "vendor_model_unknown"),
        (429, "insufficient_quota", 502, "vendor_unpaid"),
        (400, "context_length_exceeded", 422, "context_length_exceeded"),
        (400, "content_filter", 422, "content_filtered"),
        (400, "unsupported_value", 422, "refused_by_vendor"),
    ],
)
async def test_what_no_other_try_mends(
    start: Start, vendor: FakeVendor, status: int, vendors: str, told: int, code: str
) -> None:
    house = await openai(start, vendor)
    vendor.error(status, vendors, "the vendor's words")
    answer = await house.chat("gpt-4o")
    assert (answer.status_code, answer.json()["code"]) == (told, code), answer.text
    assert "the vendor's words" in answer.text
    assert len(vendor.asked) == 1


@pytest.mark.parametrize("status", [400, 401, 429, 500])
async def test_a_key_that_the_vendor_repeats_stays_with_us(start: Start, vendor: FakeVendor, status: int) -> None:
    house = await openai(start, vendor, key="sk-0123456789abcdef", retries=0)
    vendor.error(status, "x", "Bearer sk-0123456789abcdef is not mine", retry_after="30")
    answer = await house.chat("gpt-4o")
    assert "sk-0123456789" not in answer.text
    assert "Bearer ******** is not mine" in answer.text


@pytest.mark.parametrize("stream", [True, False])
async def test_so_does_one_that_it_repeats_within_an_answer(start: Start, vendor: FakeVendor, stream: bool) -> None:
    house = await openai(start, vendor, key="sk-0123456789abcdef", retries=0)
    event = {"error": {"code": "x", "type": "x", "message": "Bearer sk-0123456789abcdef is spent"}}
    vendor.line.append(StreamingResponse(iter([f"data: {json.dumps(event)}\n\n"]), media_type="text/event-stream"))
    answer = await house.chat("gpt-4o", stream=stream)
    assert "sk-0123456789" not in answer.text
    assert "Bearer ******** is spent" in answer.text


@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
async def test_what_passes_is_not_noticed(start: Start, vendor: FakeVendor, status: int) -> None:
    house = await openai(start, vendor)
    vendor.error(status, "x", retry_after_ms="20")
    vendor.error(status, "x", retry_after="0")
    answer = await house.chat("gpt-4o")
    assert answer.status_code == 200, answer.text
    assert len(vendor.asked) == 3


async def test_two_further_tries_and_no_more(start: Start, vendor: FakeVendor) -> None:
    house = await openai(start, vendor)
    for _ in range(4):
        vendor.error(503, "x", "overloaded", retry_after_ms="10")
    answer = await house.chat("gpt-4o")
    assert (answer.status_code, answer.json()["code"]) == (503, "vendor_busy")
    assert len(vendor.asked) == 3


async def test_a_long_pause_is_the_callers_to_make(start: Start, vendor: FakeVendor) -> None:
    house = await openai(start, vendor)
    vendor.error(429, "rate_limit_exceeded", "slow down", retry_after="30")
    answer = await house.chat("gpt-4o")
    assert (answer.status_code, answer.json()["code"]) == (429, "vendor_rate_limited")
    assert answer.headers["retry-after"] == "30"
    again = await house.chat("gpt-4o")
    assert (again.status_code, again.json()["code"]) == (429, "vendor_rate_limited")
    assert 25 <= int(again.headers["retry-after"]) <= 30
    assert len(vendor.asked) == 1


async def test_another_key_steps_in(start: Start, vendor: FakeVendor) -> None:
    house = await openai(start, vendor, key="sk-1, sk-2")
    vendor.error(429, "rate_limit_exceeded", retry_after="30")
    for _ in range(3):
        assert (await house.chat("gpt-4o")).status_code == 200
    used = [asked.headers["authorization"] for asked in vendor.asked]
    assert used[0] == "Bearer sk-1"
    assert set(used[1:]) == {"Bearer sk-2"}


async def test_other_gateways_hear_of_a_key_that_rests(start: Start, vendor: FakeVendor) -> None:
    one = await openai(start, vendor)
    two = await openai(start, vendor)
    assert (await two.chat("gpt-4o")).status_code == 200
    vendor.asked.clear()
    vendor.error(429, "rate_limit_exceeded", "slow down", retry_after="60")
    assert (await one.chat("gpt-4o")).status_code == 429
    async with asyncio.timeout(50):
        while (refused := await two.chat("gpt-4o")).status_code == 200:
            await asyncio.sleep(0.1)
    assert refused.json()["code"] == "vendor_rate_limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    # It rests for that model alone, and who comes later knows as well.
    asked = len(vendor.asked)
    three = await openai(start, vendor)
    assert (await three.chat("gpt-4o-mini")).status_code == 200
    assert (await three.chat("gpt-4o")).json()["code"] == "vendor_rate_limited"
    assert len(vendor.asked) == asked + 1


async def test_an_accounts_own_keys_go_first_and_take_turns(start: Start, vendor: FakeVendor) -> None:
    house = await openai(start, vendor, key="sk-ours")
    for number in (1, 2):
        await house.credential("OPENAI", name=f"key-{number}", api_key=f"sk-{number}", base_url=vendor.url)
    for _ in range(4):
        await house.chat("gpt-4o")
    assert sorted(asked.headers["authorization"] for asked in vendor.asked) == ["Bearer sk-1"] * 2 + ["Bearer sk-2"] * 2


@pytest.mark.parametrize(
    ("status", "code"), [(200, "vendor_failed"), (502, "vendor_failed"), (403, "vendor_credentials_invalid")]
)
async def test_a_web_page_is_no_answer(start: Start, vendor: FakeVendor, status: int, code: str) -> None:
    house = await openai(start, vendor, retries=0)
    vendor.answer(status, "<html><head><title>Welcome to nginx!</title></head></html>")
    answer = await house.chat("gpt-4o")
    assert (answer.status_code, answer.json()["code"]) == (502, code), answer.text
    assert "Welcome to nginx!" in answer.text
    assert "<html>" not in answer.text


async def test_garbage_is_no_answer(start: Start, vendor: FakeVendor) -> None:
    house = await openai(start, vendor)
    for body in ({"choices": []}, {"hello": 1}, ["x"]):
        vendor.answer(200, body)
        assert (await house.chat("gpt-4o")).status_code == 502


async def test_a_vendor_that_is_not_there(start: Start, vendor: FakeVendor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    house = await start({"openai": {"api_key": "sk-1", "base_url": f"http://127.0.0.1:{port}/v1"}, "retries": 1})
    answer = await house.chat("gpt-4o")
    assert (answer.status_code, answer.json()["code"]) == (503, "vendor_unreachable")
    assert f"127.0.0.1:{port}" in answer.json()["detail"]
    assert "retry-after" in answer.headers


async def test_a_vendor_that_fails_is_left_alone(start: Start, vendor: FakeVendor) -> None:
    house = await openai(start, vendor)
    for _ in range(3):
        vendor.error(500, "x", "broken", retry_after_ms="1")
    assert (await house.chat("gpt-4o")).json()["code"] == "vendor_failed"
    resting = await house.chat("gpt-4o")
    assert (resting.status_code, resting.json()["code"]) == (503, "vendor_resting")
    assert 1 <= int(resting.headers["retry-after"]) <= 20
    assert len(vendor.asked) == 3


async def test_no_first_byte_in_time(start: Start, vendor: FakeVendor) -> None:
    house = await openai(start, vendor, first_byte_seconds=0.3)
    vendor.line.append(lambda: asyncio.sleep(5))
    answer = await house.chat("gpt-4o")
    assert (answer.status_code, answer.json()["code"]) == (504, "upstream_timeout")
    assert "OPENAI" in answer.json()["detail"]
    assert len(vendor.asked) == 1


async def test_nothing_to_call_with(start: Start, vendor: FakeVendor) -> None:
    house = await start()
    await house.model("tuned", "ANTHROPIC", model="claude")
    answer = await house.chat("tuned")
    assert (answer.status_code, answer.json()["code"]) == (502, "vendor_credentials_missing")
    assert "MODELYARD_VENDORS__ANTHROPIC__API_KEY" in answer.json()["detail"]
    await house.model("named", "OPENAI", model="m", credential="nowhere")
    answer = await house.chat("named")
    assert "'nowhere'" in answer.json()["detail"]


async def test_one_accounts_credentials_are_not_anothers(start: Start, vendor: FakeVendor) -> None:
    house = await start()
    await house.credential("OPENAI", api_key="sk-mine", base_url=vendor.url)
    other = (await house.http.post("/v4/accounts", json={"account_name": "other"})).json()["account_id"]
    answer = await house.http.post(
        "/v4/models/gpt-4o/chat-completions", json={"prompt": "Hi"}, headers={"x-selected-account-id": other}
    )
    assert (answer.status_code, answer.json()["code"]) == (502, "vendor_credentials_missing"), answer.text
    assert not vendor.asked


async def test_what_openai_lacks_is_refused_by_name(start: Start, vendor: FakeVendor) -> None:
    house = await openai(start, vendor)
    for field, value in (("top_k", 5), ("chat_template", "{{ x }}")):
        answer = await house.chat("gpt-4o", **{field: value})
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", field]
    thinking = await house.chat("gpt-5", top_p=0.3)
    assert thinking.json()["detail"][0]["loc"] == ["body", "top_p"]
    assert not vendor.asked
    neutral = await house.chat("gpt-5", temperature=1, reasoning_effort="low")
    assert neutral.status_code == 200, neutral.text
    assert vendor.asked[0].body["reasoning_effort"] == "low"
    assert "x-parameters-adjusted" not in neutral.headers


async def test_models_that_think_take_no_temperature_and_the_caller_is_told(start: Start, vendor: FakeVendor) -> None:
    """As the official client promises; and the default of the top-level calls must not stand in anybody's way."""
    house = await openai(start, vendor)
    answers = [
        await house.chat("gpt-5", temperature=0.3),
        await house.http.post(
            "/v4/chat-completions", json={"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}]}
        ),
        await house.http.post("/v4/completions", json={"model": "gpt-5", "prompt": "Hi"}),
    ]
    for answer, asked in zip(answers, vendor.asked, strict=True):
        assert answer.status_code == 200, answer.text
        assert "temperature" not in asked.body
        assert answer.headers["x-parameters-adjusted"] == "temperature: this model takes none, so it was left out"
    unthinking = await house.chat("gpt-5", temperature=0.3, reasoning_effort="none")
    assert unthinking.status_code == 200, unthinking.text
    assert (vendor.asked[-1].body["temperature"], vendor.asked[-1].body["reasoning_effort"]) == (0.3, "none")


async def test_a_long_conversation_is_trimmed_by_an_estimate(start: Start, vendor: FakeVendor) -> None:
    house = await start({"other": {"base_url": vendor.url}})
    await house.model("small", "OTHER", model="m", base_url=vendor.url, context_window=200)
    history = [{"role": role, "content": "word " * 40} for role in ("user", "assistant") * 5]
    answer = await house.chat("small", chat_history=history)
    assert answer.status_code == 200, answer.text
    assert int(answer.headers["x-history-messages-dropped"]) >= 2
    assert vendor.asked[0].body["messages"][-1] == {"role": "user", "content": "Hi"}
    alone = await house.chat("small", prompt="word " * 400)
    assert alone.status_code == 200, alone.text


async def test_an_answer_that_is_too_long_does_not_fill_the_memory(
    start: Start, vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelyard.gateway.connections.MAX_BODY_BYTES", 1024**2)
    house = await openai(start, vendor)
    vendor.answer(200, {"choices": [], "padding": "x" * 4 * 1024**2})
    answer = await house.chat("gpt-4o")
    assert (answer.status_code, answer.json()["code"]) == (502, "upstream_garbage"), answer.text
    assert "more than 1 MiB" in answer.text


async def test_an_address_that_is_no_name_is_told_and_not_a_crash(start: Start, vendor: FakeVendor) -> None:
    house = await start({"other": {"base_url": vendor.url}})
    await house.model("nowhere", "OTHER", model="m", base_url=f"http://{'a' * 300}.test/v1")
    answer = await house.chat("nowhere")
    assert (answer.status_code, answer.json()["code"]) == (503, "vendor_unreachable"), answer.text


async def test_a_stream_that_hangs_ends_with_an_error(start: Start, vendor: FakeVendor) -> None:
    async def hanging() -> AsyncIterator[str]:
        yield 'data: {"choices": [{"index": 0, "delta": {"content": "Half"}}]}\n\n'
        await asyncio.sleep(30)

    house = await openai(start, vendor, total_seconds=0.6)
    vendor.line.append(StreamingResponse(hanging(), media_type="text/event-stream"))
    answer = await house.chat("gpt-4o", stream=True)
    assert answer.status_code == 200
    assert "Half" in answer.text
    assert "upstream_timeout" in answer.text
    assert "OPENAI" in answer.text


@pytest.mark.parametrize(
    ("status", "answer", "told", "code"),
    [
        (400, {"error": "invalid_grant", "error_description": "Invalid JWT"}, 502, "vendor_credentials_invalid"),
        (503, {"error": "unavailable"}, 503, "vendor_unreachable"),
    ],
)
async def test_google_gives_no_token(
    start: Start, vendor: FakeVendor, tmp_path: Path, status: int, answer: Any, told: int, code: str
) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    account = {
        "type": "service_account",
        "project_id": "p",
        "private_key": private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "client_email": "me@p.iam.gserviceaccount.com",
        "token_uri": vendor.url,
    }
    (tmp_path / "key.json").write_text(json.dumps(account))
    for _ in range(20):
        vendor.answer(status, answer)
    house = await start({"vertex_ai": {"credentials_file": str(tmp_path / "key.json"), "base_url": vendor.url}})
    await house.model("gemini", "VERTEX_AI", model="gemini-2.5-flash")
    refused = await house.chat("gemini")
    assert (refused.status_code, refused.json()["code"]) == (told, code), refused.text
    assert "PRIVATE KEY" not in refused.text
