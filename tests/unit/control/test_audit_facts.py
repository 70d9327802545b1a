"""What the audit log tells of a change, and what it keeps to itself."""

import pytest

from modelyard.domain.audit import changed_facts
from modelyard.domain.secrets import new_secret

SEALED = "gAAAAABk" + "x" * 40


@pytest.mark.parametrize(
    "name",
    ["api_key", "apiKey", "API-KEY", "x-api-key", "apikey", "OPENAI_APIKEY", "hfToken", "Authorization", "passphrase"],
)
def test_what_is_secret_by_its_name_is_masked_however_it_is_spelt(name: str) -> None:
    told = changed_facts(None, {"metadata": {"deep": [{name: "hush"}]}, name: ["hush"]})
    assert told == (None, {"metadata": {"deep": [{name: "***"}]}, name: ["***"]})


@pytest.mark.parametrize(
    "name", ["max_tokens", "tokenizer", "keyboard", "monkey", "author", "maxTokens", "fake_tokens"]
)
def test_what_only_sounds_like_it_is_told(name: str) -> None:
    assert changed_facts(None, {name: "x"}) == (None, {name: "x"})


def test_keys_and_what_is_sealed_are_secret_wherever_they_stand() -> None:
    key = new_secret("1a2b3c4d-0000")
    told = changed_facts({"text": "old", "same": 1}, {"text": f"call it with {key}, please", "same": 1})
    assert told == ({"text": "old"}, {"text": "call it with my_1a2b3c4d_***, please"})
    assert changed_facts(None, {"a": SEALED, "secret_env": {"A": "b"}}) == (
        None,
        {"a": "***", "secret_env": {"A": "***"}},
    )


def test_what_stays_as_it_was_is_no_change() -> None:
    assert changed_facts({"a": 1}, {"a": 1}) is None
    assert changed_facts({"api_key": "one"}, {"api_key": "two"}) == ({"api_key": "***"}, {"api_key": "***"})
