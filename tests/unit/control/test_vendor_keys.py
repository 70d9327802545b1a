"""Which keys a vendor's model is called with, and where they are sent."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modelyard.control.vault import Vault
from modelyard.control.vendors.keys import VendorKeys, settings_keys
from modelyard.domain.accounts import IdentityType
from modelyard.domain.models import ModelVendor
from modelyard.domain.vendors import VendorCredential, VendorTarget
from modelyard.errors import ConfigurationError, UpstreamError
from modelyard.settings import VendorsSettings
from modelyard.testing.clock import START

VAULT = Vault([b"k" * 32])
OPENAI = VendorTarget(ModelVendor.OPENAI, "m", "https://api.openai.com/v1")
ELSEWHERE = replace(OPENAI, base_url="https://else.example/v1", own_address=True)


def stored(name: str = "mine", account: str = "a", base_url: str | None = None, **secrets: str) -> VendorCredential:
    return VendorCredential(
        f"id-{name}",
        account,
        START,
        "u",
        IdentityType.USER,
        name,
        ModelVendor.OPENAI,
        VAULT.seal(json.dumps(secrets or {"api_key": f"sk-{name}"})),
        "***",
        base_url,
    )


def keys_of(*credentials: VendorCredential, **settings: Any) -> VendorKeys:
    keys = VendorKeys(VendorsSettings.model_validate(settings), VAULT)
    keys.load(credentials)
    return keys


def used(keys: VendorKeys, target: VendorTarget, account: str = "a") -> list[tuple[str, str]]:
    return [(key.secrets.get("api_key", ""), key.base_url) for key in keys.keys(target, account)]


def test_an_accounts_own_go_before_the_installations() -> None:
    keys = keys_of(stored(), openai={"api_key": "sk-1, sk-2"})
    assert used(keys, OPENAI) == [("sk-mine", "https://api.openai.com/v1")]
    assert used(keys, OPENAI, "b") == [
        ("sk-1", "https://api.openai.com/v1"),
        ("sk-2", "https://api.openai.com/v1"),
    ]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"openai": {"api_key": "sk-1", "base_url": "api.example.com/v1"}}, "OPENAI__BASE_URL"),
        ({"others": {"groq": {"base_url": "ftp://example.com"}}}, "OTHERS__GROQ__BASE_URL"),
        ({"anthropic": {"api_key": "sk-1, sk 2"}}, "ANTHROPIC__API_KEY"),
        ({"cohere": {"api_key": "sk-\u00e9"}}, "COHERE__API_KEY"),
        ({"bedrock": {"region": "r", "access_key_id": "AKID"}}, "BEDROCK__SECRET_ACCESS_KEY is not"),
        ({"bedrock": {"region": "r", "secret_access_key": "secret"}}, "BEDROCK__ACCESS_KEY_ID is not"),
    ],
)
def test_settings_that_cannot_be_used_are_named(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=f"MODELYARD_VENDORS__{named}") as caught:
        keys_of(**settings)
    assert "sk" not in str(caught.value)


def test_a_key_is_sent_to_its_own_address_only() -> None:
    there = stored("there", base_url=ELSEWHERE.base_url)
    keys = keys_of(stored(), there, openai={"api_key": "sk-1"})
    assert used(keys, ELSEWHERE) == [("sk-there", ELSEWHERE.base_url)]
    with pytest.raises(UpstreamError) as missing:
        keys.keys(ELSEWHERE, "b")
    assert missing.value.code == "vendor_credentials_missing"
    assert ELSEWHERE.base_url in str(missing.value)
    assert used(keys, replace(OPENAI, credential="there")) == [("sk-there", ELSEWHERE.base_url)]
    with pytest.raises(UpstreamError, match="another address"):
        keys.keys(replace(ELSEWHERE, credential="mine"), "a")


def test_users_addresses_are_guarded_and_the_settings_are_not() -> None:
    keys = keys_of(stored(base_url="https://x.example"), stored("plain", account="b"), openai={"api_key": "sk-1"})
    assert [key.guarded for key in keys.keys(OPENAI, "a")] == [True]
    assert [key.guarded for key in keys.keys(OPENAI, "b")] == [False]
    assert [key.guarded for key in keys.keys(OPENAI, "c")] == [False]


def test_what_another_key_sealed_is_left_out() -> None:
    other = replace(stored("other"), sealed=Vault([b"x" * 32]).seal("{}"))
    assert used(keys_of(other, stored()), OPENAI) == [("sk-mine", "https://api.openai.com/v1")]


def test_a_server_of_our_own_may_ask_for_no_key() -> None:
    target = VendorTarget(ModelVendor.OTHER, "m", "http://127.0.0.1:9/v1", own_address=True)
    assert used(keys_of(), target) == [("", "http://127.0.0.1:9/v1")]
    with pytest.raises(UpstreamError, match="MODELYARD_VENDORS__OTHER__BASE_URL"):
        keys_of().keys(replace(target, own_address=False), "a")


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({}, []),
        ({"openai": {"api_key": " "}}, []),
        ({"anthropic": {"api_key": "k"}}, [("ANTHROPIC", {"api_key": "k"}, {})]),
        ({"bedrock": {"bearer_token": "b"}}, []),
        ({"bedrock": {"region": "r", "bearer_token": "b"}}, [("BEDROCK", {"bearer_token": "b"}, {"region": "r"})]),
        ({"other": {"base_url": "http://x/v1"}}, [("OTHER", {}, {})]),
        (
            {"others": {"a": {"base_url": "http://a/v1", "api_key": "ka"}, "b": {"base_url": "http://b/v1"}}},
            [("OTHER", {"api_key": "ka"}, {}), ("OTHER", {}, {})],
        ),
        ({"vertex_ai": {"project": "p"}}, [("VERTEX_AI", {}, {"location": "us-central1", "project": "p"})]),
    ],
)
def test_what_the_settings_give(settings: dict[str, Any], found: list[Any]) -> None:
    keys = settings_keys(VendorsSettings.model_validate(settings))
    assert [(key.vendor.value, dict(key.secrets), dict(key.parameters)) for key in keys] == found


def test_no_secret_shows() -> None:
    [key] = keys_of(stored()).keys(OPENAI, "a")
    assert "sk-mine" not in repr(key)
    assert "sealed" not in repr(stored())


def test_a_key_file_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text("{")
    for name in ("key.json", "missing.json"):
        settings = VendorsSettings.model_validate({"vertex_ai": {"credentials_file": tmp_path / name}})
        with pytest.raises(ConfigurationError, match=name):
            list(settings_keys(settings))
