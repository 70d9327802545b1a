"""Images that callers give by address: who fetches them, and from where never."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fake_vendor import FakeVendor
from vendor_house import House, Start

from modelyard.gateway import addresses, opening
from modelyard.settings import SecuritySettings

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"
ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "A cat."}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 9, "outputTokens": 3, "totalTokens": 12},
}


@contextlib.asynccontextmanager
async def image_server(*answers: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Gives one answer after the other, the last one for ever; and keeps what it was asked."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answers[min(len(heads), len(answers)) - 1])
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://images.test:{server.sockets[0].getsockname()[1]}", heads
    finally:
        server.close()


def whole(body: bytes, head: str = "HTTP/1.1 200 OK") -> bytes:
    return f"{head}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body


def redirect(to: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """images.test counts as public, and is this machine; every other name is what it is."""

    async def resolved(host: str, port: int) -> list[str]:
        return ["127.0.0.1"] if host == "images.test" else await addresses.public_addresses(host, port)

    monkeypatch.setattr(opening, "public_addresses", resolved)


async def bedrock(start: Start, vendor: FakeVendor, *, fetch: bool = True) -> House:
    access = {"region": "eu-west-1", "bearer_token": "key", "base_url": vendor.url.removesuffix("/v1")}
    house = await start({"bedrock": access}, security=SecuritySettings(fetch_images=fetch))
    await house.model("nova", "BEDROCK", model="amazon.nova-lite-v1:0", images=True)
    vendor.answer(200, ANSWER)
    return house


async def ask(house: House, *urls: str) -> Any:
    parts = [{"image_url": {"url": url}} for url in urls]
    return await house.chat("nova", chat_history=[{"role": "user", "content": parts}])


async def test_fetched_for_a_vendor_that_fetches_none(start: Start, vendor: FakeVendor) -> None:
    house = await bedrock(start, vendor)
    async with image_server(redirect("/cat.png?size=2"), whole(PNG)) as (url, heads):
        answer = await ask(house, f"{url}/cat")
        assert answer.status_code == 200, answer.text
        assert [head.split(b" ")[1] for head in heads] == [b"/cat", b"/cat.png?size=2"]
        assert b"authorization" not in heads[0].lower()
        assert b"my_test" not in heads[0]
    image = vendor.asked[0].body["messages"][0]["content"][0]["image"]
    assert image == {"format": "png", "source": {"bytes": "iVBORw0KGgpwaXhlbHM="}}


async def test_not_fetched_unless_allowed(start: Start, vendor: FakeVendor) -> None:
    house = await bedrock(start, vendor, fetch=False)
    async with image_server(whole(PNG)) as (url, heads):
        answer = await ask(house, url)
        assert (answer.status_code, answer.json()["code"]) == (422, "image_not_fetched")
        assert "MODELYARD_SECURITY__FETCH_IMAGES" in answer.text
        assert not heads


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (whole(b"<html>"), "no PNG"),
        (whole(b"gone", "HTTP/1.1 404 Not Found"), "status 404"),
        (redirect("http://127.0.0.1:1/x"), "private network"),
        (redirect("http://169.254.169.254/latest/meta-data"), "private network"),
        (redirect("http://[::ffff:127.0.0.1]:1/x"), "private network"),
        (redirect("file:///etc/passwd"), "http or https"),
        (redirect("/again"), "always elsewhere"),
        (b"garbage\r\n\r\n", "does not speak HTTP"),
    ],
)
async def test_what_is_not_fetched(start: Start, vendor: FakeVendor, answer: bytes, words: str) -> None:
    house = await bedrock(start, vendor)
    async with image_server(answer) as (url, _):
        refused = await ask(house, url)
        assert (refused.status_code, refused.json()["code"]) == (422, "image_not_fetched"), refused.text
        assert words in refused.text
    assert not vendor.asked


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:1/x",
        "http://10.0.0.1/x",
        "http://0/x",
        "http://user:pw@images.test/x",
        "http://images.test:99999/x",
        "http://images.test:port/x",
        "http://[::1/x",
        f"http://{'a' * 300}/x",
        "http://b\u00fccher.test/x",
        f"http://images.test/{'x' * 9000}",
    ],
)
async def test_never_from_within(start: Start, vendor: FakeVendor, url: str) -> None:
    refused = await ask(await bedrock(start, vendor), url)
    assert (refused.status_code, refused.json()["code"]) == (422, "image_not_fetched"), refused.text
    assert "pw" not in refused.json()["detail"][0]["msg"].replace("password", "")


async def test_large_images_and_many(start: Start, vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelyard.gateway.images.MOST_BYTES", 1024)
    house = await bedrock(start, vendor)
    async with image_server(whole(PNG + b"x" * 2000)) as (url, _):
        assert "more than" in (await ask(house, url)).text
    async with image_server(whole(PNG + b"x" * 600)) as (url, _):
        assert "more than" in (await ask(house, f"{url}/1", f"{url}/2")).text, "all of them count together"
    assert "at most 20" in (await ask(house, *(f"http://images.test/{n}" for n in range(21)))).text


async def test_slow_images(start: Start, vendor: FakeVendor, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many redirects and images there are, they have one time."""
    monkeypatch.setattr("modelyard.gateway.images.SECONDS", 0.2)
    house = await bedrock(start, vendor)
    async with image_server(b"") as (url, _):
        monkeypatch.setattr("modelyard.gateway.images.Images._body", never)
        refused = await ask(house, url)
    assert (refused.status_code, refused.json()["code"]) == (422, "image_not_fetched"), refused.text
    assert "more than 0.2 seconds" in refused.text


async def never(*_: object) -> bytes:
    await asyncio.Event().wait()
    return b""


@pytest.mark.parametrize("url", ["http://169.254.169.254/x", "https://images.test/cat.png"])
async def test_a_server_within_the_walls_is_sent_nowhere(start: Start, vendor: FakeVendor, url: str) -> None:
    house = await start({"other": {"base_url": vendor.url}})
    await house.model("nova", "OTHER", model="vision", base_url=vendor.url, images=True)
    refused = await ask(house, url)
    assert (refused.status_code, refused.json()["code"]) == (422, "image_not_fetched"), refused.text
    assert not vendor.asked


async def test_a_server_within_the_walls_is_given_what_was_fetched(start: Start, vendor: FakeVendor) -> None:
    house = await start({"other": {"base_url": vendor.url}}, security=SecuritySettings(fetch_images=True))
    await house.model("nova", "OTHER", model="vision", base_url=vendor.url, images=True)
    async with image_server(whole(PNG)) as (url, _):
        answer = await ask(house, url)
    assert answer.status_code == 200, answer.text
    [part] = vendor.asked[0].body["messages"][0]["content"]
    assert part["image_url"]["url"] == "data:image/png;base64,iVBORw0KGgpwaXhlbHM="


async def test_what_only_the_vendors_own_server_could_read_is_refused(start: Start, vendor: FakeVendor) -> None:
    house = await start({"openai": {"api_key": "sk-1", "base_url": vendor.url}})
    await house.model("nova", "OPENAI", model="gpt-4o", images=True)
    refused = await ask(house, "file:///etc/passwd")
    assert refused.status_code == 422, refused.text
    assert not vendor.asked


async def test_passed_on_to_vendors_that_fetch(start: Start, vendor: FakeVendor) -> None:
    house = await start({"openai": {"api_key": "sk-1", "base_url": vendor.url}})
    history = [{"role": "user", "content": [{"image_url": {"url": "https://images.test/cat.png"}}]}]
    answer = await house.chat("gpt-4o", chat_history=history)
    assert answer.status_code == 200, answer.text
    [part] = vendor.asked[0].body["messages"][0]["content"]
    assert part == {"type": "image_url", "image_url": {"url": "https://images.test/cat.png"}}
    text_only = await house.chat("gpt-3.5-turbo-instruct", chat_history=history)
    assert text_only.status_code == 200
