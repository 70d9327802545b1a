"""What accounts promise while others do the same at the same moment, on both databases."""

import asyncio
import contextlib
import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from modelyard.control.audit import AuditLog
from modelyard.control.idempotency import Attempt
from modelyard.control.people.accounts import Accounts, UserChange
from modelyard.control.people.api_keys import ApiKeys, new_key
from modelyard.control.people.keys import Keys, digest_of
from modelyard.control.people.last_used import EVERY, LastUsed
from modelyard.control.people.members import Invitation, MemberChange, Members
from modelyard.control.scope import Scope
from modelyard.domain.accounts import Caller, IdentityType, MemberState, Role
from modelyard.domain.audit import Actor
from modelyard.domain.rights import KeyScope
from modelyard.errors import Conflict, Unauthenticated, Unavailable
from modelyard.store import acting
from modelyard.store.audit import AuditQuery
from modelyard.store.paging import PageQuery
from modelyard.testing.clock import FakeClock


@pytest.fixture
def clock(now):
    return FakeClock(now)


def caller_of(identity, roles, **more):
    return Scope(Caller("key", identity.id, IdentityType.USER, identity.is_administrator, roles, **more))


async def admins(store, make, account, count):
    """So many admins of one account."""
    made = [make.identity() for _ in range(count)]
    async with store.begin() as tx:
        for identity in made:
            await tx.accounts.add_identity(identity)
            await tx.accounts.add_membership(make.membership(identity, account, Role.ADMIN))
    return made


def members_of(store, clock):
    return Members(store, clock, lambda _: None)


@pytest.mark.parametrize(
    "change",
    [MemberChange(role=Role.VIEWER), MemberChange(state=MemberState.DISABLED), None],
    ids=["viewer", "disabled", "removed"],
)
async def test_admins_who_unseat_each_other_leave_one(store, other, make, accounts, clock, change):
    first, second, third = await admins(store, make, accounts[0], 3)

    async def unseat(store, who, whom):
        members, scope = members_of(store, clock), caller_of(who, {accounts[0]: Role.ADMIN})
        if change is None:
            await members.remove(scope, accounts[0], whom.id)
        else:
            await members.change(scope, accounts[0], whom.id, change)

    done = await asyncio.gather(
        unseat(store, first, second),
        unseat(other, second, third),
        unseat(store, third, first),
        return_exceptions=True,
    )
    refused = [error for error in done if error is not None]
    assert [(type(error), error.code) for error in refused] == [(Conflict, "last_admin")]
    async with store.read() as tx:
        assert await tx.accounts.active_admins(accounts[0]) == 1


async def test_administrators_who_unseat_each_other_leave_one(store, other, make, clock):
    all_of_them = [make.identity(is_administrator=True) for _ in range(8)]
    async with store.begin() as tx:
        for identity in all_of_them:
            await tx.accounts.add_identity(identity)

    async def unseat(store, who, whom):
        people = Accounts(store, clock, lambda _: None)
        await people.change_user(caller_of(who, {}), whom.id, UserChange(is_administrator=False))

    ring = zip(itertools.cycle((store, other)), all_of_them, [*all_of_them[1:], all_of_them[0]], strict=False)
    done = await asyncio.gather(*(unseat(*each) for each in ring), return_exceptions=True)
    assert [error.code for error in done if error is not None] == ["last_administrator"]
    async with store.begin() as tx:
        assert len(await tx.accounts.hold_administrators()) == 1


async def test_two_invitations_of_one_person_make_one(store, other, make, accounts, clock):
    [admin] = await admins(store, make, accounts[0], 1)
    scope = caller_of(admin, {accounts[0]: Role.ADMIN})

    async def invite(store, email, number):
        attempt = Attempt("key", f"f{number}", "b", named=False, repeated=False)
        return await members_of(store, clock).invite(scope, accounts[0], Invitation(email, Role.MEMBER), attempt)

    done = await asyncio.gather(
        invite(store, "Ada@example.com", 1), invite(other, "ada@Example.COM", 2), return_exceptions=True
    )
    assert sum(isinstance(error, Conflict) for error in done) == 1
    async with store.read() as tx:
        page = await tx.accounts.members_page(PageQuery((accounts[0],), where={"email": "ada@example.com"}))
    assert page.total == 1


async def test_two_rotations_at_once_keep_every_secret_known(store, other, make, accounts, clock):
    [admin] = await admins(store, make, accounts[0], 1)
    key, secret = new_key(admin.id, "key", clock.now())
    async with store.begin() as tx:
        await tx.accounts.add_key(key)
    scope = Scope(Caller(key.id, admin.id, IdentityType.USER, False, {accounts[0]: Role.ADMIN}))

    async def rotate(store, number):
        attempt = Attempt(key.id, f"f{number}", "b", named=False, repeated=False)
        keys = ApiKeys(store, clock, lambda _: None)
        return (await keys.rotate(scope, key.id, timedelta(hours=1), attempt)).secret

    done = await asyncio.gather(rotate(store, 1), rotate(other, 2), return_exceptions=True)
    secrets = [each for each in done if isinstance(each, str)]
    assert secrets
    assert all(isinstance(each, str) or each.code == "changed_meanwhile" for each in done)
    verifier = Keys(store, clock, ttl=1)
    for each in (secret, *secrets):
        assert (await verifier.verify(each)).key_id == key.id
    await clock.advance(3601)
    with pytest.raises(Unauthenticated):
        await verifier.verify(secret)


async def test_a_key_comes_back_as_it_went(store, make, now):
    identity = make.identity()
    key = replace(
        make.key(identity), scopes=(KeyScope.READ,), models=("a", "b"), last_used_at=now + timedelta(microseconds=7)
    )
    async with store.begin() as tx:
        await tx.accounts.add_identity(identity)
        await tx.accounts.add_key(key)
        assert await tx.accounts.key(key.id) == key


async def test_the_last_use_is_written_once_a_minute(store, other, make, clock):
    identity = make.identity()
    key = make.key(identity)
    async with store.begin() as tx:
        await tx.accounts.add_identity(identity)
        await tx.accounts.add_key(key)

    async def seen():
        async with store.read() as tx:
            return (await tx.accounts.key(key.id)).last_used_at

    first, second = LastUsed(store), LastUsed(other)
    start = clock.now()
    first.note(key.id, start)
    assert await seen() is None, "not on the way of a call"
    await first.flush()
    assert await seen() == start
    for gateway in (first, second):
        gateway.note(key.id, start + timedelta(seconds=30))
        await gateway.flush()
    assert await seen() == start
    second.note(key.id, start - timedelta(hours=1))  # the other machine's clock is late
    await second.flush()
    assert await seen() == start
    first.note(key.id, start + EVERY)
    await first.flush()
    assert await seen() == start + EVERY


async def test_a_last_use_waits_for_a_database_that_is_away(store, make, clock, monkeypatch):
    identity = make.identity()
    key = make.key(identity)
    async with store.begin() as tx:
        await tx.accounts.add_identity(identity)
        await tx.accounts.add_key(key)
    last_used = LastUsed(store)
    last_used.note(key.id, clock.now())

    def away():
        raise Unavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(store, "begin", away)
        await last_used.flush()
    await last_used.flush()
    async with store.read() as tx:
        assert (await tx.accounts.key(key.id)).last_used_at == clock.now()


ACTOR = Actor("who", "user", "key", "request")


async def logged(store, **where):
    async with store.read() as tx:
        return (await tx.audit.entries(AuditQuery(PageQuery(None, where=where)))).items


async def test_a_change_and_its_entry_are_one(store, make, clock):
    template = make.template()
    with acting(ACTOR, clock.now):
        async with store.begin() as tx:
            await tx.templates.add(template)
        with contextlib.suppress(RuntimeError):
            async with store.begin() as tx:
                await tx.templates.replace(replace(template, name="never"))
                raise RuntimeError
        async with store.begin() as tx:
            await tx.templates.replace(replace(template, name="renamed"))
    async with store.begin() as tx:
        await tx.templates.delete(template.id)
    changed, created = await logged(store)
    assert (changed.before, changed.after) == ({"name": template.name}, {"name": "renamed"})
    assert (created.action, created.before, created.actor, created.at) == ("created", None, ACTOR, clock.now())
    assert created.account_id == template.account_id


async def test_entries_are_in_the_order_of_writing_though_clocks_step_back(store, make, clock, now):
    with acting(ACTOR, clock.now):
        async with store.begin() as tx:
            await tx.templates.add(make.template())
    with acting(ACTOR, lambda: now - timedelta(hours=1)):
        async with store.begin() as tx:
            await tx.templates.add(make.template())
    assert [entry.at for entry in await logged(store)] == [now - timedelta(hours=1), now]


async def test_the_database_itself_refuses_to_change_or_end_an_entry(store, make, clock, kind):
    await AuditLog(store, clock, 1).sweep()
    with acting(ACTOR, clock.now):
        async with store.begin() as tx:
            await tx.templates.add(make.template())
    statements = ["UPDATE audit_log SET actor_id = 'nobody'", "DELETE FROM audit_log"]
    statements += ["TRUNCATE audit_log"] if kind == "postgresql" else []
    for statement in statements:
        with pytest.raises(Exception, match="append-only"):
            async with store._engine.begin() as connection:
                await connection.execute(text(statement))
    [entry] = await logged(store)
    assert entry.actor == ACTOR


async def test_entries_end_by_age_alone(store, make, clock):
    for days in (0, 2):
        with acting(ACTOR, lambda days=days: clock.now() + timedelta(days=days)):
            async with store.begin() as tx:
                await tx.templates.add(make.template())
    await AuditLog(store, clock, None).sweep()
    assert len(await logged(store)) == 2
    await clock.advance(timedelta(days=2).total_seconds())
    await AuditLog(store, clock, 1).sweep()
    [left] = await logged(store)
    assert left.at == clock.now()


async def test_who_is_in_two_accounts_stands_in_both_logs(store, make, accounts, clock):
    identity = make.identity()
    key = replace(make.key(identity), digest=digest_of("x"))
    async with store.begin() as tx:
        await tx.accounts.add_identity(identity)
        for account in accounts[:2]:
            await tx.accounts.add_membership(make.membership(identity, account))
    with acting(ACTOR, clock.now):
        async with store.begin() as tx:
            await tx.accounts.add_key(key)
    assert sorted(entry.account_id for entry in await logged(store, entity_id=key.id)) == sorted(accounts[:2])
