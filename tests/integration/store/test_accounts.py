"""Accounts, identities, memberships and keys."""

from dataclasses import replace
from datetime import timedelta

import pytest

from modelyard.domain.accounts import Account, IdentityType, KeyKind, Role
from modelyard.errors import Conflict, NotFound


async def test_an_account_comes_back_as_it_went(store, now):
    account = Account("new", "a new one", now + timedelta(microseconds=1), status="closed")
    async with store.begin() as tx:
        await tx.accounts.add_account(account)
    async with store.read() as tx:
        assert await tx.accounts.account("new") == account
        with pytest.raises(NotFound) as unknown:
            await tx.accounts.account("unknown")
    assert unknown.value.code == "account_not_found"


async def test_an_identity_comes_with_all_its_memberships(store, make, accounts):
    identity = make.identity(first_name="Ada", last_name=None, is_administrator=True, type=IdentityType.SERVICE_ACCOUNT)
    first = make.membership(identity, accounts[0], Role.ADMIN)
    second = make.membership(identity, accounts[1], Role.VIEWER)
    async with store.begin() as tx:
        await tx.accounts.add_identity(replace(identity, memberships=(first,)))
        await tx.accounts.add_membership(first)
        await tx.accounts.add_membership(second)
    async with store.read() as tx:
        assert await tx.accounts.identity(identity.id) == replace(identity, memberships=(first, second))
        with pytest.raises(NotFound):
            await tx.accounts.identity("unknown")


async def test_nobody_is_twice_in_one_account(store, make):
    identity = make.identity()
    async with store.begin() as tx:
        await tx.accounts.add_identity(identity)
        await tx.accounts.add_membership(make.membership(identity))
        with pytest.raises(Conflict):
            await tx.accounts.add_membership(make.membership(identity))
        with pytest.raises(Conflict):
            await tx.accounts.add_identity(identity)


async def test_any_administrator_is_the_first_one(store, make):
    plain, first, second = make.identity(), make.identity(is_administrator=True), make.identity(is_administrator=True)
    async with store.begin() as tx:
        await tx.accounts.add_identity(plain)
        assert await tx.accounts.any_administrator() is None
        for identity in (second, first):
            await tx.accounts.add_identity(identity)
        assert await tx.accounts.any_administrator() == first


async def test_a_key_is_found_by_its_digest_with_whoever_holds_it(store, make, now):
    identity = make.identity()
    membership = make.membership(identity)
    key = make.key(identity, expires_at=now + timedelta(days=1))
    async with store.begin() as tx:
        await tx.accounts.add_identity(identity)
        await tx.accounts.add_membership(membership)
        await tx.accounts.add_key(key)
    async with store.read() as tx:
        assert await tx.accounts.key_by_digest(key.digest) == (key, replace(identity, memberships=(membership,)))
        assert await tx.accounts.key_by_digest("another") is None
        assert await tx.accounts.key(key.id) == key
        with pytest.raises(NotFound):
            await tx.accounts.key("unknown")


async def test_two_keys_never_share_a_digest(store, make):
    identity = make.identity()
    key = make.key(identity)
    async with store.begin() as tx:
        await tx.accounts.add_identity(identity)
        await tx.accounts.add_key(key)
        with pytest.raises(Conflict):
            await tx.accounts.add_key(make.key(identity, digest=key.digest))


async def test_keys_are_those_of_the_members_of_accounts_newest_first(store, make, accounts):
    one, two, stranger = make.identity(), make.identity(), make.identity()
    keys = [make.key(one), make.key(two), make.key(one), make.key(stranger)]
    async with store.begin() as tx:
        for identity in (one, two, stranger):
            await tx.accounts.add_identity(identity)
        for membership in (
            make.membership(one, accounts[0]),
            make.membership(one, accounts[1]),
            make.membership(two, accounts[1]),
            make.membership(stranger, accounts[2]),
        ):
            await tx.accounts.add_membership(membership)
        for key in keys:
            await tx.accounts.add_key(key)
    async with store.read() as tx:
        assert await tx.accounts.keys(accounts[:2]) == [keys[2], keys[1], keys[0]]
        assert await tx.accounts.keys(accounts[:1]) == [keys[2], keys[0]]
        assert await tx.accounts.keys(()) == []


async def test_a_key_is_revoked_once(store, make, now):
    identity = make.identity()
    key = make.key(identity)
    async with store.begin() as tx:
        await tx.accounts.add_identity(identity)
        await tx.accounts.add_key(key)
        assert await tx.accounts.revoke_key(key.id, now)
        assert not await tx.accounts.revoke_key(key.id, now + timedelta(days=1))
        assert not await tx.accounts.revoke_key("unknown", now)
        assert (await tx.accounts.key(key.id)).revoked_at == now


async def test_keys_of_administrators_are_those_that_let_them_in(store, make, now):
    """Neither sessions, which end by themselves, nor keys that have ended; nor anybody else's."""
    chief, somebody = make.identity(is_administrator=True), make.identity()
    hour = timedelta(hours=1)
    keys = {
        "plain": make.key(chief),
        "ending later": make.key(chief, expires_at=now + hour),
        "ended": make.key(chief, expires_at=now - hour),
        "ends now": make.key(chief, expires_at=now),
        "revoked": make.key(chief, revoked_at=now - hour),
        "session": make.key(chief, kind=KeyKind.SESSION),
        "of somebody else": make.key(somebody),
    }
    async with store.begin() as tx:
        for identity in (chief, somebody):
            await tx.accounts.add_identity(identity)
        for key in keys.values():
            await tx.accounts.add_key(key)
        found = await tx.accounts.keys_of_administrators(now)
    assert {key.id for key in found} == {keys["plain"].id, keys["ending later"].id}
