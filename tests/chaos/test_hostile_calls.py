"""Bodies that are malformed, huge, nested, slow or of wrong types, ids of others and keys that are none, under load."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psutil
import pytest
from server_process import Start
from yard import Tell, Yard, adds_up, eventually, yard

from load import Counts

pytestmark = pytest.mark.timeout(480)

Paths = pytest.TempPathFactory
MIB = 1024 * 1024
DEPTH = 100_000
MALFORMED = (
    b"{",
    b'{"prompt": "a",}',
    b"\xff\xfe{}",
    b'{"prompt": "\\ud800"}',
    b"nothing",
    b'{"prompt": NaN}',
    b"[" * DEPTH,
    b"[" * DEPTH + b"]" * DEPTH,
    b'{"prompt":' * DEPTH + b"1" + b"}" * DEPTH,
    b'{"chat_history":' + b"[" * DEPTH + b"]" * DEPTH + b"}",
)
WRONG: tuple[Any, ...] = (-1, 2**70, "", "\0", "x" * 5000, True, [[]], {"a": {}}, None)
HOT: dict[str, dict[str, Any]] = {
    "chat-completions": {"prompt": "a", "chat_history": []},
    "completions": {"prompt": "a"},
    "embeddings": {"texts": ["a"]},
    "rerankings": {"query": "a", "chunks": ["b"]},
}
CHAT_FIELDS = (
    *("prompt", "chat_history", "temperature", "top_p", "top_k", "max_tokens", "stop_sequences", "frequency_penalty"),
    *("presence_penalty", "logprobs", "top_logprobs", "reasoning_effort", "chat_template", "chat_template_kwargs"),
    *("model_request_parameters", "stream", "no_such_field"),
)


def memory(there: Yard) -> int:
    return int(psutil.Process(there.server.process.pid).memory_info().rss)


def named(answer: httpx.Response) -> bool:
    """Whether a refusal is one of the client's own fault, in our shape, and names fields where it is about them."""
    body = answer.json()
    if answer.status_code == 422:
        return all({"loc", "msg", "type"} <= set(each) and each["loc"] for each in body["detail"])
    return 400 <= answer.status_code < 500 and {"detail", "code", "request_id"} <= set(body)


def bodies(there: Yard) -> Iterator[tuple[str, str, bytes]]:
    hot = {f"/v4/models/{there.deployment}/{verb}": body for verb, body in HOT.items()}
    control = operations(there)
    for method, path in [*(("POST", path) for path in hot), *control]:
        for content in MALFORMED:
            yield method, path, content
    for field in CHAT_FIELDS:
        for value in WRONG:
            path = f"/v4/models/{there.deployment}/chat-completions"
            yield "POST", path, json.dumps({**HOT["chat-completions"], field: value}).encode()
    for (method, path), fields in control.items():
        for field in fields:
            for value in WRONG:
                yield method, path, json.dumps({field: value}).encode()


def operations(there: Yard) -> dict[tuple[str, str], list[str]]:
    """Every call of the control API that takes a body, with the names of its fields; ids are of the deployment."""
    document = there.api.get("/openapi.json").json()
    ids = {"model_id": there.path.split("/")[3], "deployment_id": there.deployment}
    found = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            name = content.get("$ref", "").rpartition("/")[2]
            fields = document["components"]["schemas"].get(name, {}).get("properties")
            if fields and not path.startswith("/v1"):
                filled = path
                for part in [each for each in path.split("/") if each.startswith("{")]:
                    filled = filled.replace(part, ids.get(part.strip("{}"), str(uuid4())))
                found[method.upper(), filled] = sorted(fields)
    assert len(found) > 5, "the API has calls with bodies"
    return found


async def send_wrong(there: Yard) -> int:
    """How many were refused; none may be a 5xx. What is accepted in spite of all is right by chance."""
    refused = 0
    headers = {"x-api-key": there.server.key, "content-type": "application/json"}
    work = asyncio.Queue[tuple[str, str, bytes]]()
    for each in await asyncio.to_thread(lambda: list(bodies(there))):
        work.put_nowait(each)

    async def send(client: httpx.AsyncClient) -> None:
        nonlocal refused
        while not work.empty():
            method, path, content = work.get_nowait()
            answer = await client.request(method, path, content=content)
            assert answer.status_code < 500, (method, path, content[:200], answer.text)
            if answer.status_code >= 400:
                assert named(answer), (method, path, content[:200], answer.text)
                refused += 1

    async with httpx.AsyncClient(base_url=there.server.url, headers=headers, timeout=60) as client:
        await asyncio.gather(*(send(client) for _ in range(4)))
    return refused


async def send_huge(there: Yard) -> None:
    """Bodies that never end, and one that says beforehand that it is too long: 413, long before they are all there."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield b" " * MIB

    headers = {"x-api-key": there.server.key, "content-type": "application/json"}
    async with httpx.AsyncClient(base_url=there.server.url, headers=headers, timeout=60) as client:
        for path in (f"/v4/models/{there.deployment}/chat-completions", "/v4/model-templates"):
            for _ in range(4):
                with contextlib.suppress(httpx.WriteError):  # it hung up, and did not wait for the rest
                    assert (await client.post(path, content=endless())).status_code == 413
            with contextlib.suppress(httpx.WriteError):
                assert (await client.post(path, content=b" " * (40 * MIB))).status_code == 413


@contextlib.contextmanager
def slow_bodies(there: Yard, count: int) -> Iterator[list[socket.socket]]:
    """Connections on which a body has begun and does not come on."""
    address = urlsplit(there.server.url)
    head = (
        f"POST /v4/models/{there.deployment}/chat-completions HTTP/1.1\r\nhost: x\r\nx-api-key: {there.server.key}\r\n"
        "content-type: application/json\r\ncontent-length: 1000000\r\n\r\n{"
    ).encode()
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            opened.append(stack.enter_context(socket.create_connection((address.hostname, address.port))))
            opened[-1].sendall(head)
        yield opened


async def treat_badly(there: Yard, counts: Counts) -> tuple[int, int]:
    """How many wrong bodies were refused, and by how many bytes the server has grown."""
    with slow_bodies(there, 100) as slow:
        async with there.load(2) as load:
            load.counts = counts
            await load.answered(20)
            before = memory(there)
            refused = await send_wrong(there)
            for connection in slow:
                connection.sendall(b" ")
            await send_huge(there)
            await load.answered(20)
    await eventually(lambda: adds_up(there, counts))
    return refused, memory(there) - before


def test_wrong_bodies_are_refused_and_harm_nobody(start_server: Start, tmp_path_factory: Paths, tell: Tell) -> None:
    counts = Counts()
    with yard(start_server, tmp_path_factory.mktemp("hostile"), counts, workers=1) as there:
        refused, growth = asyncio.run(treat_badly(there, counts))
    tell(f"{refused} wrong bodies; memory {growth / MIB:+.0f} MiB", counts)
    assert counts.whole, counts
    assert refused > 500
    # 100 slow bodies of a megabyte and 10 endless ones: none of that stays.
    assert growth < 128 * MIB, growth


def test_what_is_not_ones_own_looks_like_nothing(start_server: Start, tmp_path_factory: Paths, tell: Tell) -> None:
    counts = Counts()
    with yard(start_server, tmp_path_factory.mktemp("strangers"), counts, workers=1) as there:
        tried = asyncio.run(try_as_a_stranger(there, counts))
    tell(f"{tried} calls with others' ids and wrong keys", counts)
    assert counts.whole, counts


async def try_as_a_stranger(there: Yard, counts: Counts) -> int:
    async with there.load(2) as load:
        load.counts = counts
        await load.answered(10)
        tried = await asyncio.to_thread(strange_ids, there) + await asyncio.to_thread(strange_keys, there)
        await load.answered(10)
    return tried


def plain(answer: httpx.Response, *ids: str) -> tuple[int, str]:
    """Status and body, without what differs by nature."""
    text = answer.text.replace(answer.headers["x-request-id"], "")
    for each in ids:
        text = text.replace(each, "ID")
    return answer.status_code, text


def strange_ids(there: Yard) -> int:
    """Each call on the deployment, its model and template, by a stranger: as if they were not there."""
    model = there.path.split("/")[3]
    template = there.api.get(f"/v4/models/{model}").json()["model_template_id"]
    ids = {"model_id": model, "deployment_id": there.deployment, "template_id": template, "id": there.deployment}
    elsewhere = there.api.post("/accounts", json={"account_name": "elsewhere"}).json()["account_id"]
    key = there.api.post("/v4/api-keys", json={"name": "s", "role": "admin", "account_id": elsewhere}).json()["key"]
    paths = there.api.get("/openapi.json").json()["paths"]
    tried = 0
    with httpx.Client(base_url=there.server.url, headers={"x-api-key": key}, timeout=60) as stranger:
        for path, methods in paths.items():
            parts = [each.strip("{}") for each in path.split("/") if each.startswith("{")]
            if not parts or not set(parts) <= ids.keys():
                continue
            for method in methods:
                tried += 1
                same_as_nothing(stranger, method.upper(), path, {part: ids[part] for part in parts})
    assert tried > 15, "there are that many calls with an id"
    return tried


def same_as_nothing(stranger: httpx.Client, method: str, path: str, ids: dict[str, str]) -> None:
    verb = path.rpartition("/")[2]
    bodies: dict[str, Any] = {**HOT, "execute": {}, "deployments": {"name": "mine"}, "rollback": {"revision": 1}}
    body = {} if method in ("GET", "DELETE") else {"json": bodies.get(verb, {})}
    span = {"chunks": 1, "start_date": "2026-01-01", "end_date": "2026-01-02"} if "usage" in path else None
    nothing = {part: str(uuid4()) for part in ids}
    theirs = stranger.request(method, path.format(**ids), params=span, **body)
    unknown = stranger.request(method, path.format(**nothing), params=span, **body)
    assert plain(theirs, *ids.values()) == plain(unknown, *nothing.values()), (method, path)
    assert theirs.status_code in (404, 405), (method, path, theirs.text)


def strange_keys(there: Yard) -> int:
    def new_key(**more: Any) -> dict[str, Any]:
        account = there.api.get(there.path).json()["account_id"]
        body = {"name": "k", "role": "viewer", "account_id": account, **more}
        made: dict[str, Any] = there.api.post("/v4/api-keys", json=body).raise_for_status().json()
        return made

    revoked = new_key()
    with httpx.Client(base_url=there.server.url, timeout=60) as client:
        assert client.get("/user-info", headers={"x-api-key": revoked["key"]}).status_code == 200
        there.api.delete(f"/v4/api-keys/{revoked['id']}").raise_for_status()
        keys = [revoked["key"], "wrong", "my_" + "a" * 43, "x" * 5000, there.server.key[:-1], "schl\xfcssel"]
        calls = [("GET", "/v4/models", None), ("GET", "/user-info", None), ("DELETE", there.path, None)]
        calls.append(("POST", f"/v4/models/{there.deployment}/chat-completions", HOT["chat-completions"]))
        for method, path, body in calls:
            answers = {
                plain(client.request(method, path, json=body, headers={header: value.encode("latin-1")}))
                for key in keys
                for header, value in (("x-api-key", key), ("authorization", f"Bearer {key}"))
            }
            assert len(answers) == 1, answers
            assert next(iter(answers))[0] == 401
    return len(keys) * len(calls) * 2
