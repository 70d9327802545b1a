"""The first start, by one server or by two."""

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from modelyard.control.people.bootstrap import ensure_administrator
from modelyard.control.people.keys import Keys
from modelyard.domain.accounts import Right
from modelyard.errors import ConfigurationError
from modelyard.settings import Settings
from modelyard.store import Store
from modelyard.testing.clock import FakeClock


def settings(tmp_path: Path, **more: Any) -> Settings:
    return Settings(data_dir=tmp_path / "data", **more)


async def test_the_first_start_gives_a_key_that_opens_everything(
    store: Store, clock: FakeClock, tmp_path: Path
) -> None:
    first = await ensure_administrator(store, clock, settings(tmp_path))
    assert first is not None
    assert first.path == tmp_path / "data" / "admin.key"
    assert first.path.read_text() == first.key + "\n"
    assert stat.S_IMODE(first.path.stat().st_mode) == 0o600
    caller = await Keys(store, clock, 1).verify(first.key)
    assert caller.is_administrator
    [account] = caller.roles
    assert caller.can(Right.ADMIN, account)
    assert [each.name for each in first.path.parent.iterdir()] == ["admin.key"]


async def test_later_starts_change_nothing(store: Store, clock: FakeClock, tmp_path: Path) -> None:
    first = await ensure_administrator(store, clock, settings(tmp_path))
    assert first is not None
    assert await ensure_administrator(store, clock, settings(tmp_path)) is None
    assert first.path.read_text().strip() == first.key


async def test_a_key_may_be_given(store: Store, clock: FakeClock, tmp_path: Path) -> None:
    given = settings(tmp_path, bootstrap_api_key=SecretStr("chosen"))
    first = await ensure_administrator(store, clock, given)
    assert first is not None
    assert (first.key, first.given) == ("chosen", True)
    assert (await Keys(store, clock, 1).verify("chosen")).is_administrator


@pytest.mark.parametrize("key", ["", " ", "two words", "ключ", "x" * 513, "new\nline"])
async def test_a_key_that_no_header_could_carry_is_refused(
    store: Store, clock: FakeClock, tmp_path: Path, key: str
) -> None:
    with pytest.raises(ConfigurationError, match="MODELYARD_BOOTSTRAP_API_KEY"):
        await ensure_administrator(store, clock, settings(tmp_path, bootstrap_api_key=SecretStr(key)))


async def test_two_servers_at_once_make_one_administrator(tmp_path: Path, clock: FakeClock) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    stores = [await Store.open(url) for _ in range(2)]
    await stores[0].migrate()
    results = await asyncio.gather(*(ensure_administrator(store, clock, settings(tmp_path)) for store in stores))
    made = [result for result in results if result is not None]
    assert len(made) == 1
    assert (tmp_path / "data" / "admin.key").read_text().strip() == made[0].key
    assert (await Keys(stores[1], clock, 1).verify(made[0].key)).is_administrator
    for store in stores:
        await store.aclose()
