"""Vendors over TLS, through a proxy, and at addresses that accounts name."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from fake_vendor import FakeVendor, serving
from pydantic import SecretStr
from vendor_house import Start

from modelyard.clock import SystemClock
from modelyard.control.people.bootstrap import ACCOUNT_ID, ensure_administrator
from modelyard.control.vault import Vault
from modelyard.control.vendors.credentials import renew_secrets
from modelyard.domain.accounts import IdentityType
from modelyard.domain.models import ModelVendor
from modelyard.domain.vendors import VendorCredential
from modelyard.settings import SecuritySettings, Settings
from modelyard.store import Store
from modelyard.testing.clock import START

CA = trustme.CA()


@pytest.fixture
async def secure() -> AsyncIterator[FakeVendor]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    CA.issue_cert("localhost").configure_cert(context)
    async with serving(FakeVendor(), context) as fake:
        yield fake


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(str(path))
    return str(path)


async def test_over_tls(start: Start, secure: FakeVendor, ca_file: str) -> None:
    house = await start({"ca_file": ca_file, "openai": {"api_key": "sk-1", "base_url": secure.url}})
    for stream in (False, True, False):
        answer = await house.chat("gpt-4o", stream=stream)
        assert answer.status_code == 200, answer.text
    assert "Hello" in answer.text
    assert len({asked.headers["host"] for asked in secure.asked}) == 1


async def test_a_certificate_that_nobody_vouches_for(start: Start, secure: FakeVendor) -> None:
    house = await start({"openai": {"api_key": "sk-1", "base_url": secure.url}, "retries": 0})
    answer = await house.chat("gpt-4o")
    assert (answer.status_code, answer.json()["code"]) == (503, "vendor_unreachable")
    assert "certificate verify failed" in answer.json()["detail"].lower()
    assert not secure.asked


@contextlib.asynccontextmanager
async def proxy(
    answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n",
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A proxy that opens tunnels, and keeps what it was asked."""
    heads: list[bytes] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        writer.write(answer)
        if b" 200 " not in answer:
            writer.close()
            return
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        there, onwards = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pump(reader, onwards), pump(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://user:p%40ss@127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
    finally:
        server.close()


async def test_through_a_proxy(start: Start, secure: FakeVendor, ca_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with proxy() as (address, heads):
        monkeypatch.setenv("https_proxy", address)
        house = await start({"ca_file": ca_file, "openai": {"api_key": "sk-1", "base_url": secure.url}})
        answer = await house.chat("gpt-4o")
        assert answer.status_code == 200, answer.text
        [head] = heads
        assert head.startswith(b"CONNECT localhost:")
        assert b"proxy-authorization: Basic dXNlcjpwQHNz\r\n" in head


async def test_a_proxy_that_refuses(
    start: Start, secure: FakeVendor, ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    async with proxy(b"HTTP/1.1 403 Forbidden\r\n\r\n") as (address, _):
        monkeypatch.setenv("https_proxy", address)
        vendors = {"ca_file": ca_file, "retries": 0, "openai": {"api_key": "sk-1", "base_url": secure.url}}
        answer = await (await start(vendors)).chat("gpt-4o")
        assert answer.json()["code"] == "vendor_unreachable"
        assert "403 Forbidden" in answer.json()["detail"]


async def test_accounts_name_public_addresses_only(start: Start, vendor: FakeVendor) -> None:
    house = await start(security=SecuritySettings(private_addresses=False))
    await house.credential("OTHER", name="inside", api_key="sk-1", base_url=vendor.url)
    await house.model("named", "OTHER", model="m", base_url=vendor.url, credential="inside")
    await house.model("keyless", "OTHER", model="m", base_url="http://localhost:1/v1")
    for name in ("named", "keyless"):
        answer = await house.chat(name)
        assert (answer.status_code, answer.json()["code"]) == (502, "private_address"), answer.text
        assert "MODELYARD_SECURITY__PRIVATE_ADDRESSES" in answer.json()["detail"]
    assert not vendor.asked


async def test_a_new_key_seals_everything_at_the_next_start(tmp_path: Path) -> None:
    old, new = ("old" * 11)[:32].encode(), ("new" * 11)[:32].encode()
    store = await Store.open(f"sqlite:///{tmp_path / 'x.db'}")
    await store.migrate()
    settings = Settings(data_dir=tmp_path, bootstrap_api_key=SecretStr("k"))
    await ensure_administrator(store, SystemClock(), settings)
    kept = VendorCredential(
        "id", ACCOUNT_ID, START, "u", IdentityType.USER, "n", ModelVendor.OPENAI, Vault([old]).seal("{}"), "***"
    )
    async with store.begin() as tx:
        await tx.vendor_credentials.add(kept)
    assert await renew_secrets(store, Vault([old])) == 0
    assert await renew_secrets(store, Vault([new])) == 0
    assert await renew_secrets(store, Vault([new, old])) == 1
    assert await renew_secrets(store, Vault([new, old])) == 0
    async with store.read() as tx:
        [after] = await tx.vendor_credentials.all()
    assert Vault([new]).unseal(after.sealed) == "{}"
    await store.aclose()


async def test_the_settings_key_goes_to_no_address_that_a_user_names(
    start: Start, vendor: FakeVendor, another: FakeVendor
) -> None:
    house = await start({"openai": {"api_key": "sk-ours", "base_url": vendor.url}})
    await house.model("elsewhere", "OPENAI", model="m", base_url=another.url)
    answer = await house.chat("elsewhere")
    assert (answer.status_code, answer.json()["code"]) == (502, "vendor_credentials_missing")
    await house.credential("OPENAI", name="mine", api_key="sk-mine")
    await house.model("named", "OPENAI", model="m", base_url=another.url, credential="mine")
    answer = await house.chat("named")
    assert (answer.status_code, answer.json()["code"]) == (502, "vendor_credentials_missing")
    assert "another address" in answer.json()["detail"]
    assert not another.asked
