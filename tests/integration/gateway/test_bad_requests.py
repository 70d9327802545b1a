"""Whatever a client sends: a clear 4xx that names what is wrong, never a 500, and no worker disturbed."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from gateway_house import House, StartWorker, Worker, until

from modelyard.domain.accounts import Role
from modelyard.domain.templates import ModelType
from modelyard.domain.usage import Outcome
from modelyard.testing.gateway import ACCOUNT, make_caller, make_route

CHAT = "/v4/models/chat/chat-completions"
OTHER = "99999999-9999-4999-8999-999999999999"


@pytest.fixture
async def worker(house: House, start_worker: StartWorker) -> Worker:
    worker = await start_worker()
    house.show(worker)
    return worker


async def post(house: House, content: bytes | str, path: str = CHAT, **headers: str) -> httpx.Response:
    return await house.client.post(path, content=content, headers=headers)


def refusal(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    assert set(body) == {"detail", "code", "request_id"}
    assert body["request_id"] == response.headers["x-request-id"]
    return body


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"prompt": "a"} trailing',
        b'{"prompt": "a\x00b"}',
        b'{"prompt": "\xff"}',
        b'{"prompt": "\\ud800"}',
        b'{"prompt": "a", "top_k": NaN}',
        b'{"prompt": "a", "chat_template_kwargs": {"a": ' + b"[" * 10_000 + b"]" * 10_000 + b"}}",
        b'{"prompt": "a", "chat_template_kwargs": {"a": ' + b'{"a":' * 100_000,
    ],
)
async def test_what_is_no_json_is_400(house: House, worker: Worker, content: bytes) -> None:
    refusal(await post(house, content), 400)
    assert worker.asked == []


PART = {"role": "user", "content": [{"text": "a"}]}


def history(*messages: Any) -> dict[str, Any]:
    return {"prompt": "a", "chat_history": list(messages)}


def bindings(values: Any) -> dict[str, Any]:
    return {"prompt": "a", "model_request_parameters": {"bindings": values}}


@pytest.mark.parametrize(
    ("body", "loc", "kind"),
    [
        ({}, ["body", "prompt"], "missing"),
        ([], ["body"], "type_error"),
        ({"prompt": 1}, ["body", "prompt"], "type_error"),
        ({"prompt": None}, ["body", "prompt"], "type_error"),
        ({"prompt": "a", "nonsense": 1}, ["body", "nonsense"], "unknown"),
        ({"prompt": "a", "temperature": 2.1}, ["body", "temperature"], "value_error"),
        ({"prompt": "a", "temperature": "hot"}, ["body", "temperature"], "type_error"),
        ({"prompt": "a", "max_tokens": 0}, ["body", "max_tokens"], "value_error"),
        ({"prompt": "a", "stop_sequences": ["a"] * 5}, ["body", "stop_sequences"], "value_error"),
        ({"prompt": "a", "stop_sequences": ["ok", ""]}, ["body", "stop_sequences", 1], "value_error"),
        ({"prompt": "a", "reasoning_effort": "extreme"}, ["body", "reasoning_effort"], "value_error"),
        (history({"role": "tool", "content": ""}), ["body", "chat_history", 0, "role"], "value_error"),
        (history(PART, {"role": "user"}), ["body", "chat_history", 1, "content"], "missing"),
        (
            history({"role": "user", "content": [{"text": "a"}, {"text": 1}]}),
            ["body", "chat_history", 0, "content", 1, "text"],
            "type_error",
        ),
        (history({**PART, "role": "assistant"}), ["body", "chat_history", 0], "value_error"),
        (history({"role": "user", "content": [{}]}), ["body", "chat_history", 0, "content", 0], "value_error"),
        ({"prompt": "a\x00"}, ["body", "prompt"], "value_error"),
        (history({"role": "user", "content": "\x00"}), ["body", "chat_history", 0, "content"], "value_error"),
        (bindings({"x": [1]}), ["body", "model_request_parameters", "bindings"], "type_error"),
        (bindings({"x": 1}), ["body", "model_request_parameters", "bindings", "x"], "unknown"),
        ({"prompt": "a", "logprobs": False, "top_logprobs": 2}, ["body", "top_logprobs"], "unsupported"),
        ({"prompt": "a", "top_k": 1.5}, ["body", "top_k"], "unsupported"),
        ({"prompt": "a", "chat_template": "{{x}}"}, ["body", "chat_template"], "unsupported"),
    ],
)
async def test_what_does_not_fit_is_422_and_named(
    house: House, worker: Worker, body: Any, loc: list[str | int], kind: str
) -> None:
    response = await post(house, json.dumps(body))
    (error,) = refusal(response, 422)["detail"]
    assert (error["loc"], error["type"]) == (loc, kind)
    assert error["msg"]
    assert worker.asked == []
    record = await house.record()
    assert (record.outcome, record.prompt_tokens) == (Outcome.ERROR, 0)


async def test_images_for_a_model_that_reads_text_are_named(house: House, worker: Worker) -> None:
    image = {"image_data": {"data": "AAAA", "media_type": "image/png"}}
    history = [{"role": "user", "content": [{"text": "see"}, image]}]
    response = await house.chat(chat_history=history)
    body = refusal(response, 422)
    assert body["code"] == "images_not_supported"
    assert body["detail"][0]["loc"] == ["body", "chat_history", 0, "content", 1]
    assert worker.asked == []
    path = f"/v4/models/{make_route().model_id}/deployments/chat/execute"
    body = refusal(await post(house, json.dumps({"messages": history}), path), 422)
    assert body["detail"][0]["loc"] == ["body", "messages", 0, "content", 1]


async def test_images_for_a_model_that_sees_reach_it(house: House, start_worker: StartWorker) -> None:
    worker = await start_worker()
    house.show(worker, accepts_images=True)
    image = {"type": "image_data", "image_data": {"data": "AAAA", "media_type": "image/png"}}
    assert (await house.chat(chat_history=[{"role": "user", "content": [image]}])).status_code == 200
    (part,) = worker.asked[0].json["messages"][0]["content"]
    assert part["image_url"]["url"] == "data:image/png;base64,AAAA"


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_the_bound_is_413(house: House, worker: Worker, announced: bool) -> None:
    size = 100 * 1024 * 1024
    piece = b" " * 65536

    async def pieces() -> Any:
        for _ in range(size // len(piece)):
            yield piece

    headers = {"content-length": str(size)} if announced else {}
    response = await house.client.post(CHAT, content=pieces(), headers=headers)
    assert refusal(response, 413)["code"] == "too_large"
    assert (await house.chat()).status_code == 200


async def test_a_client_that_leaves_within_its_body_is_forgotten(house: House, worker: Worker) -> None:
    host, port = house.base_url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nx-api-key: test-key\r\ncontent-length: 1000\r\n\r\n"
    writer.write(head.encode() + b'{"prompt":')
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.close()
    record = await house.record()
    assert record.outcome is Outcome.CANCELLED
    assert worker.asked == []


@pytest.mark.parametrize("key", ["", "wrong", "x" * 5000])
async def test_an_unknown_key_is_401(house: House, worker: Worker, key: str) -> None:
    response = await house.client.post(CHAT, json={"prompt": "a"}, headers={"x-api-key": key})
    refusal(response, 401)
    assert response.headers["www-authenticate"] == "Bearer"
    assert house.usage.records == []


@pytest.mark.parametrize("name", ["nobody", OTHER, "%00", "%ED%A0%80", "..%2F..", "x" * 3000])
async def test_an_unknown_deployment_is_404(house: House, worker: Worker, name: str) -> None:
    response = await house.client.post(f"/v4/models/{name}/chat-completions", json={"prompt": "a"})
    assert response.status_code == 404
    assert house.usage.records == []


async def test_another_accounts_deployment_looks_like_none(house: House, start_worker: StartWorker) -> None:
    route = house.show(await start_worker(), account_id=OTHER)
    there = await house.client.post(f"/v4/models/{route.deployment_id}/chat-completions", json={"prompt": "a"})
    nowhere = await house.client.post(f"/v4/models/{OTHER}/chat-completions", json={"prompt": "a"})
    one, other = refusal(there, 404), refusal(nowhere, 404)
    assert one["code"] == other["code"]
    assert one["detail"].replace(route.deployment_id, "?") == other["detail"].replace(OTHER, "?")


async def test_a_viewer_may_not_call(house: House, worker: Worker) -> None:
    house.keys.callers["test-key"] = make_caller({ACCOUNT: Role.VIEWER})
    refusal(await house.chat(), 403)


async def test_an_account_one_is_no_part_of_is_404(house: House, worker: Worker) -> None:
    response = await house.client.post(CHAT, json={"prompt": "a"}, headers={"x-selected-account-id": OTHER})
    assert refusal(response, 404)["code"] == "account_not_found"


@pytest.mark.parametrize(
    ("kind", "verb", "right"),
    [
        (ModelType.CHAT_COMPLETION, "embeddings", "chat-completions"),
        (ModelType.CHAT_COMPLETION, "rerankings", "chat-completions"),
        (ModelType.EMBEDDING, "chat-completions", "embeddings"),
        (ModelType.EMBEDDING, "completions", "embeddings"),
        (ModelType.RERANKING, "embeddings", "rerankings"),
        (ModelType.COMPLETION, "embeddings", "completions"),
        (ModelType.GENERIC, "chat-completions", "execute"),
        (ModelType.AGENT, "embeddings", "execute"),
    ],
)
async def test_the_wrong_verb_names_the_right_one(
    house: House, start_worker: StartWorker, kind: ModelType, verb: str, right: str
) -> None:
    worker = await start_worker()
    house.show(worker, model_type=kind)
    body = refusal(await post(house, b'{"prompt": "a"}', f"/v4/models/chat/{verb}"), 422)
    assert body["code"] == "wrong_verb"
    assert f"/{right}" in body["detail"][0]["msg"]
    assert worker.asked == []


async def test_a_request_id_of_the_clients_own_is_kept(house: House, worker: Worker) -> None:
    response = await house.client.post(CHAT, json={"prompt": "a"}, headers={"x-request-id": "mine-7"})
    assert response.headers.get_list("x-request-id") == ["mine-7"]
    assert (await house.record()).request_id == "mine-7"
    response = await house.client.post(CHAT, content=b"{", headers={"x-request-id": "mine-8"})
    assert response.json()["request_id"] == "mine-8"


async def test_a_worker_is_not_troubled_by_a_hundred_broken_requests(house: House, worker: Worker) -> None:
    broken = [b"{", b"[]", b'{"prompt":1}', b"\xff" * 100, b'{"prompt":"' + b"a" * 100]
    responses = await asyncio.gather(*[post(house, broken[n % len(broken)]) for n in range(100)])
    assert {response.status_code for response in responses} <= {400, 422}
    await until(lambda: len(house.usage.records) == 100)
    assert house.gateway.in_flight("w0") == 0
    assert worker.asked == []
