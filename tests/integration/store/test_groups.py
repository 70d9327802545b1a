"""Model groups and their members, on both databases."""

import asyncio

import pytest

from modelyard.domain.accounts import IdentityType
from modelyard.domain.groups import ModelGroup
from modelyard.errors import Conflict, NotFound


@pytest.fixture
def group(now, accounts):
    return ModelGroup("g", accounts[0], now, "somebody", IdentityType.USER, "a group", "Of one base.")


async def test_a_group_comes_back_as_it_was_put(store, group, accounts):
    async with store.begin() as tx:
        await tx.groups.add(group)
    async with store.read() as tx:
        assert await tx.groups.get("g", accounts[:1]) == group
        with pytest.raises(NotFound, match="no model group 'g'"):
            await tx.groups.get("g", accounts[1:])
    with pytest.raises(Conflict, match="has a model group called 'a group'"):
        async with store.begin() as tx:
            await tx.groups.add(group)


async def test_members_are_told_by_their_bases_and_released(store, make, group, accounts):
    members = [make.model(model_group_id="g", base_model_id=base) for base in ("one", "one", None)]
    async with store.begin() as tx:
        await tx.groups.add(group)
        for model in (*members, make.model(base_model_id="other")):
            await tx.models.add(model)
    async with store.begin() as tx:
        assert await tx.models.bases_in_group("g", besides=members[0].id) == {"one", None}
        assert await tx.models.bases_in_group("g", besides=members[2].id) == {"one"}
        assert await tx.models.leave_group("g") == 3
    async with store.read() as tx:
        assert (await tx.models.get(members[0].id, accounts)).model_group_id is None


async def test_whoever_read_a_member_before_it_was_released_must_read_it_again(store, other, make, group):
    model = make.model(model_group_id="g")
    async with store.begin() as tx:
        await tx.groups.add(group)
        await tx.models.add(model)
    async with store.read() as reading:
        read = await reading.models.get(model.id, None)
        seen = dict(reading.models._session._versions)
    async with other.begin() as tx:
        await tx.models.leave_group("g")
    async with store.begin() as tx:
        tx.models._session._versions.update(seen)
        with pytest.raises(Conflict) as raised:
            await tx.models.replace(read)
    assert raised.value.code == "changed_meanwhile"


async def test_a_group_that_somebody_fills_is_not_deleted_under_his_hands(store, other, make, group, accounts):
    model = make.model()
    async with store.begin() as tx:
        await tx.groups.add(group)
        await tx.models.add(model)
    held = asyncio.Event()

    async def fill():
        async with store.begin() as tx:
            await tx.groups.hold("g", accounts[0])
            held.set()
            await asyncio.sleep(0.1)
            await tx.models.replace(make.model(id=model.id, name=model.name, model_group_id="g"))

    async def delete():
        await held.wait()
        async with other.begin() as tx:
            await tx.groups.delete("g")
            return await tx.models.leave_group("g")

    _, released = await asyncio.gather(fill(), delete())
    assert released == 1
    async with store.read() as tx:
        assert (await tx.models.get(model.id, None)).model_group_id is None
    with pytest.raises(NotFound):
        async with store.begin() as tx:
            await tx.groups.hold("g", accounts[0])


async def test_usage_of_a_group_is_its_members(store, make, group, now, accounts):
    model = make.model(name="mine", model_group_id="g")
    records = [
        make.usage(model_name="mine"),
        make.usage(model_name="mine", account_id=accounts[1]),
        make.usage(model_name="other"),
    ]
    async with store.begin() as tx:
        await tx.groups.add(group)
        await tx.models.add(model)
        await tx.usage.add(records)
    end = now.replace(year=now.year + 1)
    async with store.read() as tx:
        assert await tx.usage.sums([now], end, model_group_id="g", accounts=accounts[:1]) == [(0, 1, 10)]
        assert await tx.usage.sums([now], end, model_group_id="g") == [(0, 2, 20)]
        assert await tx.usage.sums([now], end, model_group_id="nobody's") == []
