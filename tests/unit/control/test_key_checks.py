"""A way in stays: some administrator keeps a key that can do everything and has no end."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from modelyard.control.people.key_checks import refuse_last_administrator, refuse_last_key
from modelyard.domain.accounts import ApiKey
from modelyard.domain.rights import KeyScope
from modelyard.errors import Conflict
from modelyard.testing.clock import START

KEY = ApiKey("key", "ada", "k", "my_", "digest", START)
ANOTHER = replace(KEY, id="another", identity_id="bob")
NARROW = {"scopes": (KeyScope.READ,)}
NO_CALLS = {"scopes": (KeyScope.ADMIN,)}
FEW = {"models": ("one",)}
ENDING = {"expires_at": START + timedelta(days=1)}


@dataclass
class Tx:
    keys: list[ApiKey]
    administrators: list[str] = field(default_factory=lambda: ["ada", "bob"])

    @property
    def accounts(self) -> Any:
        return self

    async def hold_administrators(self) -> list[str]:
        return self.administrators

    async def keys_of_administrators(self, now: datetime) -> list[ApiKey]:
        return self.keys


@pytest.mark.parametrize("after", [None, *(replace(KEY, **less) for less in (NARROW, NO_CALLS, FEW, ENDING))])
@pytest.mark.parametrize(
    ("others", "refused"),
    [
        ([], True),
        ([replace(ANOTHER, **NARROW)], True),
        ([replace(ANOTHER, **ENDING)], True),
        ([replace(ANOTHER, **NO_CALLS)], True),
        ([replace(ANOTHER, **FEW)], True),
        ([ANOTHER], False),
        ([replace(ANOTHER, scopes=(KeyScope.ADMIN, KeyScope.INFERENCE))], False),
    ],
)
async def test_the_last_key_that_can_do_everything(after: ApiKey | None, others: list[ApiKey], refused: bool) -> None:
    tx: Any = Tx([KEY, *others])
    if not refused:
        await refuse_last_key(tx, KEY, after, START)
        return
    with pytest.raises(Conflict) as caught:
        await refuse_last_key(tx, KEY, after, START)
    assert caught.value.code == "last_administrator"


async def test_other_changes_and_lesser_keys_are_nobody_s_last() -> None:
    tx: Any = Tx([KEY])
    await refuse_last_key(tx, KEY, replace(KEY, name="another name"), START)
    await refuse_last_key(tx, replace(ANOTHER, **NARROW), None, START)


@pytest.mark.parametrize("less", [NO_CALLS, FEW])
async def test_where_nobody_can_do_everything_who_governs_stays(less: dict[str, Any]) -> None:
    last = replace(KEY, **less)
    with pytest.raises(Conflict):
        await refuse_last_key(Tx([last]), last, None, START)  # type: ignore[arg-type]
    with pytest.raises(Conflict):
        await refuse_last_key(Tx([last, replace(ANOTHER, **NARROW)]), last, None, START)  # type: ignore[arg-type]
    await refuse_last_key(Tx([last, replace(ANOTHER, **NO_CALLS)]), last, None, START)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("keys", "signs_in", "refused"),
    [([KEY], False, True), ([KEY, ANOTHER], False, False), ([KEY], True, False), ([], False, False)],
)
async def test_who_alone_has_a_key_stays_administrator(keys: list[ApiKey], signs_in: bool, refused: bool) -> None:
    tx: Any = Tx(keys)
    if not refused:
        await refuse_last_administrator(tx, "ada", START, people_sign_in=signs_in)
        return
    with pytest.raises(Conflict):
        await refuse_last_administrator(tx, "ada", START, people_sign_in=signs_in)


@pytest.mark.parametrize("signs_in", [True, False])
async def test_the_last_administrator_stays_whatever_keys_there_are(signs_in: bool) -> None:
    tx: Any = Tx([KEY, ANOTHER], administrators=["ada"])
    with pytest.raises(Conflict) as caught:
        await refuse_last_administrator(tx, "ada", START, people_sign_in=signs_in)
    assert caught.value.code == "last_administrator"
