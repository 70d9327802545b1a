"""What a whole server is put together from: keys that end in time and say when they were used, usage that is priced,
and read from what a killed server left."""

import asyncio
import base64
import os
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fake_vendor import FakeVendor
from pydantic import SecretStr
from vendor_house import KEY, Start

from modelyard.control.people import last_used
from modelyard.control.people.bootstrap import ACCOUNT_ID
from modelyard.control.usage.journal import Journal
from modelyard.control.vault import Vault
from modelyard.domain.accounts import IdentityType, MemberState
from modelyard.domain.models import ModelVendor
from modelyard.domain.templates import BundleConfig, EndpointProtocol, EndpointType, ModelType, Template
from modelyard.domain.vendors import VendorCredential
from modelyard.main import prepare
from modelyard.settings import CatalogSettings, CostSettings, PriceSetting, SecuritySettings, Settings
from modelyard.store import Store
from modelyard.testing.clock import START, FakeClock
from modelyard.testing.usage import make_usage

MOST_SECONDS = 2
SPAN = {"start_date": "2020-01-01", "end_date": "2100-01-01"}


async def test_what_another_server_changes_is_heeded_within_two_seconds(start: Start, vendor: FakeVendor) -> None:
    """By the control API and by calls of models, which know keys from memory."""
    house = await start({"other": {"base_url": vendor.url, "models": "llama"}})
    keys = [
        (await house.http.post("/v4/api-keys", json={"name": name, "account_id": ACCOUNT_ID, "role": "member"})).json()
        for name in ("revoked", "disabled")
    ]
    house.parts.keys._clock = clock = FakeClock(datetime.now(UTC))

    async def told(key: dict[str, Any]) -> tuple[int, int, int]:
        """How a key fares: whether it is known, how many models it sees, and what becomes of a call."""
        headers = {"x-api-key": key["key"]}
        me, models = [await house.http.get(path, headers=headers) for path in ("/user-info", "/v4/models")]
        call = await house.http.post("/v4/models/llama/chat-completions", json={"prompt": "Hi"}, headers=headers)
        return me.status_code, len(models.json().get("items", ())), call.status_code

    assert await told(keys[0]) == await told(keys[1]) == (200, 1, 200)
    async with house.parts.store.begin() as tx:  # as another server does, which cannot tell this one
        await tx.accounts.revoke_key(keys[0]["id"], clock.now())
        [place] = (await tx.accounts.identity(keys[1]["identity_id"])).memberships
        await tx.accounts.set_membership(replace(place, state=MemberState.DISABLED))
    await clock.advance(MOST_SECONDS)
    assert await told(keys[0]) == (401, 0, 401)
    assert await told(keys[1]) == (200, 0, 404)


async def test_a_key_says_when_it_was_used(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_used, "FLUSH_SECONDS", 0.05)
    house = await start()
    made = (await house.http.post("/v4/api-keys", json={"name": "k", "account_id": ACCOUNT_ID})).json()
    before = datetime.now(UTC)
    await house.http.get("/user-info", headers={"x-api-key": made["key"]})
    async with asyncio.timeout(60):
        while (told := (await house.http.get(f"/v4/api-keys/{made['id']}")).json()["last_used_at"]) is None:
            await asyncio.sleep(0.05)
    assert datetime.fromisoformat(told) >= before


async def test_usage_is_priced_alike_streamed_or_not_and_read_from_what_was_left(
    start: Start, vendor: FakeVendor, tmp_path: Path
) -> None:
    left = Journal(tmp_path / "data" / "usage", bound=10)
    left.append(make_usage(account_id=ACCOUNT_ID, model_name="of old"))
    for file in left._files:  # as the kernel does it when a server is killed
        os.close(file)
    price = PriceSetting(
        model="llama", input=Decimal("0.1"), cached_input=Decimal("0.01"), output=Decimal(1), reasoning=Decimal(3)
    )
    house = await start({"other": {"base_url": vendor.url, "models": "llama"}}, cost=CostSettings(prices=(price,)))
    for stream in (False, True):
        assert (await house.chat("llama", stream=stream)).status_code == 200
    kept = [path.read_bytes() for path in (tmp_path / "data" / "usage").iterdir()]
    assert len(kept) == 2, "what was left is gone, and this server keeps what it answers"

    async def told(**query: Any) -> Any:
        return (await house.http.get("/v4/usage", params={**SPAN, **query})).json()["total"]

    async with asyncio.timeout(60):
        while (line := await told(model_name="llama"))["calls"] < 2:
            await asyncio.sleep(0.05)
    assert (await told(model_name="of old"))["calls"] == 1
    counts = ("prompt_tokens", "response_tokens", "cached_tokens", "reasoning_tokens", "unpriced_calls")
    assert [line[name] for name in counts] == [22, 4, 8, 2, 0]
    assert Decimal(line["cost"]) == 2 * Decimal("4.74"), "7 x 0.1 + 4 x 0.01 + 1 x 1 + 1 x 3"


async def test_a_new_key_seals_everything_before_the_server_starts(tmp_path: Path) -> None:
    keys = [base64.b64encode(bytes([number]) * 32).decode() for number in range(2)]
    old, new = (Vault([base64.b64decode(key)]) for key in keys)

    def settings(key: str) -> Settings:
        security, starters = SecuritySettings(secret_key=SecretStr(key)), CatalogSettings(starters=False)
        return Settings(data_dir=tmp_path, security=security, catalog=starters, bootstrap_api_key=SecretStr(KEY))

    await prepare(settings(keys[0]))
    who = ("id", ACCOUNT_ID, START, "u", IdentityType.USER, "name")
    bundle = BundleConfig("modelyard", "fake", "1", secret_env={"TOKEN": old.seal("hf_one")})
    kinds = (EndpointType.SYNC, ModelType.EMBEDDING, EndpointProtocol.SGP)
    store = await Store.open(settings(keys[0]).database)
    async with store.begin() as tx:
        await tx.templates.add(Template(*who, *kinds, bundle=bundle))
        await tx.vendor_credentials.add(VendorCredential(*who, ModelVendor.OPENAI, old.seal("{}"), "***"))
    await prepare(settings(f"{keys[1]},{keys[0]}"))
    async with store.read() as tx:
        template, [credential] = await tx.templates.get("id", None), await tx.vendor_credentials.all()
    await store.aclose()
    assert new.unseal(template.bundle.secret_env["TOKEN"]) == "hf_one"
    assert new.unseal(credential.sealed) == "{}"
