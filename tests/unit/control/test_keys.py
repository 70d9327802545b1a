"""Verifying keys: from memory while that is fresh, and through a database that is away."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from modelyard.control.people import keys as module
from modelyard.control.people.api_keys import new_key
from modelyard.control.people.keys import Keys
from modelyard.domain.accounts import Account, ApiKey, Identity, IdentityType, Membership, Role
from modelyard.errors import Unauthenticated, Unavailable
from modelyard.settings import SecuritySettings
from modelyard.store import Store, Transaction
from modelyard.testing.clock import FakeClock


class Counted:
    """A store that counts lookups, and can be away."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.lookups = 0
        self.away = False

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        self.lookups += 1
        if self.away:
            raise Unavailable("away", code="database_unavailable")
        async with self._store.read() as tx:
            yield tx


@pytest.fixture
def counted(store: Store) -> Counted:
    return Counted(store)


@pytest.fixture
def keys(counted: Counted, clock: FakeClock) -> Keys:
    return Keys(counted, clock, ttl=1)  # type: ignore[arg-type]


async def hold(store: Store, clock: FakeClock, role: Role = Role.MEMBER, **more: Any) -> tuple[ApiKey, str]:
    """Somebody with one role in one account, and a key."""
    now = clock.now()
    identity = Identity("who", IdentityType.SERVICE_ACCOUNT, "who@example.invalid", now)
    key, secret = new_key(identity.id, "key", now, **more)
    account = Account("acc", "acc", now)
    async with store.begin() as tx:
        await tx.accounts.add_account(account)
        await tx.accounts.add_identity(identity)
        await tx.accounts.add_membership(Membership("m", account, identity.id, identity.type, role))
        await tx.accounts.add_key(key)
    return key, secret


async def test_a_key_says_who_calls(store: Store, clock: FakeClock, keys: Keys) -> None:
    key, secret = await hold(store, clock)
    caller = await keys.verify(secret)
    assert (caller.key_id, caller.identity_id, caller.roles) == (key.id, "who", {"acc": Role.MEMBER})


async def test_the_secret_itself_is_kept_nowhere(store: Store, clock: FakeClock) -> None:
    key, secret = await hold(store, clock)
    assert secret.startswith(key.prefix + "_")
    assert secret not in repr(key)
    assert len(secret) - len(key.prefix) > 40


async def test_keys_are_found_by_their_digests_alone(store: Store, clock: FakeClock, keys: Keys) -> None:
    """So no time that anything takes depends on how much of a key is right."""
    _, secret = await hold(store, clock)
    await keys.verify(secret)
    with pytest.raises(Unauthenticated):
        await keys.verify("guess")
    digests = {text: hashlib.sha256(text.encode()).hexdigest() for text in (secret, "guess")}
    assert (list(keys._known), list(keys._unknown)) == ([digests[secret]], [digests["guess"]])
    async with store.read() as tx:
        assert await tx.accounts.key_by_digest(digests[secret]) is not None


async def test_a_key_that_only_begins_like_another_is_none(store: Store, clock: FakeClock, keys: Keys) -> None:
    key, secret = await hold(store, clock)
    await keys.verify(secret)
    for alike in (key.prefix, secret[:-1], secret + "0", f"{key.prefix}_{'0' * 49}"):
        with pytest.raises(Unauthenticated):
            await keys.verify(alike)


async def test_most_calls_look_nothing_up(store: Store, clock: FakeClock, keys: Keys, counted: Counted) -> None:
    _, secret = await hold(store, clock)
    for _ in range(5):
        await keys.verify(secret)
    assert counted.lookups == 1
    await clock.advance(1)
    await keys.verify(secret)
    assert counted.lookups == 2


async def test_many_calls_at_once_make_one_lookup(store: Store, clock: FakeClock, keys: Keys, counted: Counted) -> None:
    _, secret = await hold(store, clock)
    callers = await asyncio.gather(*(keys.verify(secret) for _ in range(20)))
    assert len({caller.key_id for caller in callers}) == 1
    assert counted.lookups == 1


async def test_a_caller_that_leaves_takes_the_lookup_from_nobody(
    store: Store, clock: FakeClock, keys: Keys, counted: Counted
) -> None:
    _, secret = await hold(store, clock)
    first = asyncio.create_task(keys.verify(secret))
    second = asyncio.create_task(keys.verify(secret))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).identity_id == "who"
    assert counted.lookups == 1


async def test_a_revocation_is_seen_when_memory_is_no_longer_fresh(store: Store, clock: FakeClock, keys: Keys) -> None:
    key, secret = await hold(store, clock)
    await keys.verify(secret)
    async with store.begin() as tx:
        await tx.accounts.revoke_key(key.id, clock.now())
    await keys.verify(secret)
    await clock.advance(1)
    with pytest.raises(Unauthenticated):
        await keys.verify(secret)


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_is_set_changes_nothing_about_how_long_a_key_is_believed(
    store: Store, clock: FakeClock, keys: Keys, counted: Counted, hours: int
) -> None:
    _, secret = await hold(store, clock)
    await keys.verify(secret)
    clock.step(timedelta(hours=hours))
    await keys.verify(secret)
    assert counted.lookups == 1
    await clock.advance(1)
    await keys.verify(secret)
    assert counted.lookups == 2


@pytest.mark.parametrize("seconds", [2.001, 60, 0, -1, float("inf"), float("nan")])
def test_no_setting_lets_a_revocation_take_more_than_two_seconds(seconds: float) -> None:
    assert 0 < SecuritySettings().key_cache_seconds <= 2
    with pytest.raises(ValidationError):
        SecuritySettings(key_cache_seconds=seconds)


async def test_what_is_forgotten_is_looked_up_at_once(store: Store, clock: FakeClock, keys: Keys) -> None:
    key, secret = await hold(store, clock)
    await keys.verify(secret)
    async with store.begin() as tx:
        await tx.accounts.revoke_key(key.id, clock.now())
    keys.forget_key(key.id)
    with pytest.raises(Unauthenticated):
        await keys.verify(secret)


async def test_a_new_membership_is_seen_once_the_identity_is_forgotten(
    store: Store, clock: FakeClock, keys: Keys
) -> None:
    _, secret = await hold(store, clock)
    await keys.verify(secret)
    account = Account("acc2", "acc2", clock.now())
    async with store.begin() as tx:
        await tx.accounts.add_account(account)
        await tx.accounts.add_membership(Membership("m2", account, "who", IdentityType.SERVICE_ACCOUNT, Role.ADMIN))
    keys.forget_identity("who")
    assert (await keys.verify(secret)).roles["acc2"] is Role.ADMIN


async def test_an_end_is_kept_to_the_moment_even_from_memory(store: Store, clock: FakeClock, keys: Keys) -> None:
    _, secret = await hold(store, clock, expires_at=clock.now() + timedelta(seconds=0.5))
    await keys.verify(secret)
    await clock.advance(0.5)
    with pytest.raises(Unauthenticated):
        await keys.verify(secret)


async def test_an_earlier_secret_ends_with_its_key(store: Store, clock: FakeClock, keys: Keys) -> None:
    """Whatever grace it was given."""
    key, secret = await hold(store, clock, expires_at=clock.now() + timedelta(seconds=10))
    rotated, later = new_key("who", "key", clock.now())
    async with store.begin() as tx:
        after = replace(key, digest=rotated.digest, prefix=rotated.prefix)
        await tx.accounts.rotate_key(key, after, clock.now(), timedelta(hours=1))
    for each in (secret, later):
        assert (await keys.verify(each)).key_id == key.id
    await clock.advance(10)
    for each in (secret, later):
        with pytest.raises(Unauthenticated):
            await keys.verify(each)


async def test_an_earlier_secret_is_revoked_with_its_key(store: Store, clock: FakeClock, keys: Keys) -> None:
    key, secret = await hold(store, clock)
    rotated, later = new_key("who", "key", clock.now())
    async with store.begin() as tx:
        after = replace(key, digest=rotated.digest, prefix=rotated.prefix)
        await tx.accounts.rotate_key(key, after, clock.now(), timedelta(hours=1))
        await tx.accounts.revoke_key(key.id, clock.now())
    for each in (secret, later):
        with pytest.raises(Unauthenticated):
            await keys.verify(each)


@pytest.mark.parametrize("role", [Role.DISABLED, Role.INVITED])
async def test_disabled_and_invited_members_are_in_no_account(
    store: Store, clock: FakeClock, keys: Keys, role: Role
) -> None:
    _, secret = await hold(store, clock, role)
    assert (await keys.verify(secret)).roles == {}


@pytest.mark.parametrize("key", ["", "x", "my_x_y", "k" * 513, "\x00", "\ud800", "ключ"])
async def test_what_is_no_key_is_refused_in_the_same_words(keys: Keys, key: str) -> None:
    with pytest.raises(Unauthenticated) as raised:
        await keys.verify(key)
    assert str(raised.value) == "This API key is not valid. Check it, or ask an administrator for another."


async def test_a_slip_of_the_pen_is_not_even_looked_up(
    store: Store, clock: FakeClock, keys: Keys, counted: Counted
) -> None:
    _, secret = await hold(store, clock)
    swapped = secret[:-8] + secret[-7] + secret[-8] + secret[-6:]
    wrong = swapped if swapped != secret else secret[:-1] + ("0" if secret[-1] != "0" else "1")
    with pytest.raises(Unauthenticated):
        await keys.verify(wrong)
    assert counted.lookups == 0


async def test_guessing_is_answered_from_memory_too(keys: Keys, counted: Counted, clock: FakeClock) -> None:
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            await keys.verify("guess")
    assert counted.lookups == 1


async def test_memory_is_bounded(
    store: Store, clock: FakeClock, keys: Keys, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_UNKNOWN", 10)
    monkeypatch.setattr(module, "MAX_KNOWN", 2)
    _, secret = await hold(store, clock)
    await keys.verify(secret)
    for guess in range(50):
        with pytest.raises(Unauthenticated):
            await keys.verify(f"guess {guess}")
    before = counted.lookups
    await keys.verify(secret)
    assert counted.lookups == before
    others = []
    async with store.begin() as tx:
        for number in range(3):
            key, other = new_key("who", f"{number}", clock.now())
            await tx.accounts.add_key(key)
            others.append(other)
    for other in others:
        await keys.verify(other)
    before = counted.lookups
    await keys.verify(secret)
    assert counted.lookups == before + 1


async def test_a_known_key_outlives_the_database_for_a_while(
    store: Store, clock: FakeClock, keys: Keys, counted: Counted
) -> None:
    _, secret = await hold(store, clock)
    await keys.verify(secret)
    counted.away = True
    await clock.advance(60)
    assert (await keys.verify(secret)).identity_id == "who"
    before = counted.lookups
    assert (await keys.verify(secret)).identity_id == "who"
    assert counted.lookups == before
    await clock.advance(module.STALE_SECONDS)
    with pytest.raises(Unavailable):
        await keys.verify(secret)


async def test_an_unknown_key_waits_for_the_database(keys: Keys, counted: Counted) -> None:
    counted.away = True
    with pytest.raises(Unavailable):
        await keys.verify("whoever")
    counted.away = False
    with pytest.raises(Unauthenticated):
        await keys.verify("whoever")


async def test_a_key_that_was_refused_is_not_believed_when_the_database_goes_away(
    store: Store, clock: FakeClock, keys: Keys, counted: Counted
) -> None:
    key, secret = await hold(store, clock)
    await keys.verify(secret)
    async with store.begin() as tx:
        await tx.accounts.revoke_key(key.id, clock.now())
    await clock.advance(1)
    with pytest.raises(Unauthenticated):
        await keys.verify(secret)
    counted.away = True
    await clock.advance(1)
    with pytest.raises(Unavailable):
        await keys.verify(secret)


async def test_an_end_is_kept_while_the_database_is_away(
    store: Store, clock: FakeClock, keys: Keys, counted: Counted
) -> None:
    _, secret = await hold(store, clock, expires_at=clock.now() + timedelta(seconds=60))
    await keys.verify(secret)
    counted.away = True
    await clock.advance(59)
    await keys.verify(secret)
    await clock.advance(1)
    with pytest.raises(Unauthenticated):
        await keys.verify(secret)
    await clock.advance(1)
    with pytest.raises(Unauthenticated):
        await keys.verify(secret)
