"""Secrets at rest: what one key seals, that key opens, and no other."""

import base64
import os
import stat
from pathlib import Path

import pytest
from pydantic import SecretStr

from modelyard.control.vault import Sealed, Vault
from modelyard.errors import ConfigurationError
from modelyard.settings import SecuritySettings, Settings


def settings(folder: Path, key: str | None = None) -> Settings:
    security = SecuritySettings(secret_key=None if key is None else SecretStr(key))
    return Settings(data_dir=folder, security=security)


def new_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def test_the_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    sealed = Vault.open(settings(tmp_path)).seal("sk-secret")
    assert "sk-secret" not in sealed
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]
    assert Vault.open(settings(tmp_path)).unseal(sealed) == "sk-secret"


def test_keys_rotate(tmp_path: Path) -> None:
    old, new = new_key(), new_key()
    sealed = Vault.open(settings(tmp_path, old)).seal("päss")
    both = Vault.open(settings(tmp_path, f"{new}, {old}"))
    assert both.unseal(sealed) == "päss"
    assert Vault.open(settings(tmp_path, new)).unseal(both.renewed(sealed)) == "päss"
    with pytest.raises(Sealed, match="MODELYARD_SECURITY__SECRET_KEY"):
        Vault.open(settings(tmp_path, new)).unseal(sealed)
    with pytest.raises(Sealed):
        Vault.open(settings(tmp_path, new)).renewed(sealed)
    assert not (tmp_path / "secret.key").exists()


@pytest.mark.parametrize("key", ["short", "", base64.b64encode(b"x" * 31).decode(), "€" * 44])
def test_what_is_no_key_is_told_with_the_setting(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigurationError, match="MODELYARD_SECURITY__SECRET_KEY"):
        Vault.open(settings(tmp_path, key))


def test_a_damaged_key_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("no key at all")
    with pytest.raises(ConfigurationError, match=r"secret\.key"):
        Vault.open(settings(tmp_path))
