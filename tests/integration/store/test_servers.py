"""Model servers, on both databases."""

import asyncio
from dataclasses import replace

import pytest

from modelyard.domain.accounts import IdentityType
from modelyard.domain.servers import Backend, ModelServer, swapped
from modelyard.errors import Conflict, NotFound


@pytest.fixture
def server(now, accounts):
    return ModelServer(
        "s", accounts[0], now, "somebody", IdentityType.USER, "a server", "stable", (Backend("a", 3), Backend("b", 0))
    )


async def version(store):
    async with store.read() as tx:
        return await tx.deployments.routes_version()


async def test_a_server_comes_back_as_it_was_put(store, server, accounts):
    swap = swapped(swapped(server, (Backend("b"),)), (Backend("c"),))
    async with store.begin() as tx:
        await tx.servers.add(server)
    async with store.begin() as tx:
        assert await tx.servers.get("s", accounts) == server
        await tx.servers.replace(swap)
    async with store.read() as tx:
        assert await tx.servers.all() == [swap]
        assert await tx.servers.with_alias("stable", accounts) == [swap]
        assert await tx.servers.with_alias("stable", accounts[1:]) == []
        with pytest.raises(NotFound, match="no model server 's'"):
            await tx.servers.get("s", accounts[1:])


async def test_every_change_of_a_server_changes_the_routes(store, server):
    seen = [await version(store)]
    async with store.begin() as tx:
        await tx.servers.add(server)
    seen.append(await version(store))
    async with store.begin() as tx:
        await tx.servers.replace(swapped(server, (Backend("b"),)))
    seen.append(await version(store))
    async with store.begin() as tx:
        assert await tx.servers.delete("s")
    seen.append(await version(store))
    assert seen == sorted(set(seen))


@pytest.mark.parametrize("change", [{"id": "t", "name": "other"}, {"id": "t", "alias": "other"}])
async def test_names_and_aliases_are_unique_in_an_account(store, server, accounts, change):
    async with store.begin() as tx:
        await tx.servers.add(server)
        await tx.servers.add(replace(server, id="elsewhere", account_id=accounts[1]))
        await tx.servers.add(replace(server, id="bare", name="bare", alias=None))
        await tx.servers.add(replace(server, id="bare too", name="bare too", alias=None))
    with pytest.raises(Conflict, match="model server called") as raised:
        async with store.begin() as tx:
            await tx.servers.add(replace(server, **change))
    assert raised.value.code == "name_taken"


async def test_which_servers_are_in_front_of_a_deployment(store, server, accounts):
    async with store.begin() as tx:
        await tx.servers.add(server)
    async with store.read() as tx:
        for deployment, there in (("a", [server]), ("b", [server]), ("c", [])):
            assert await tx.servers.in_front_of(deployment, accounts[0]) == there
        assert await tx.servers.in_front_of("a", accounts[1]) == []


async def test_who_holds_a_deployment_is_waited_for(store, other, make, server, accounts):
    (deployment,) = await make.deployed(store)
    held = asyncio.Event()

    async def put_behind():
        async with store.begin() as tx:
            await tx.deployments.hold(deployment.id)
            held.set()
            await asyncio.sleep(0.1)
            await tx.servers.add(
                ModelServer(
                    "s", accounts[0], server.created_at, "u", IdentityType.USER, "n", None, (Backend(deployment.id),)
                )
            )

    async def look():
        await held.wait()
        async with other.begin() as tx:
            await tx.deployments.hold(deployment.id)
            return await tx.servers.in_front_of(deployment.id, accounts[0])

    _, found = await asyncio.gather(put_behind(), look())
    assert [each.id for each in found] == ["s"]


async def test_deployments_are_found_by_their_ids(store, make):
    first, second = await make.deployed(store, 2)
    async with store.read() as tx:
        found = await tx.deployments.of_ids([first.id, "nobody", second.id])
        assert {each.id for each in found} == {first.id, second.id}
        assert await tx.deployments.of_ids([]) == []


async def test_which_servers_and_models_fall_back(store, make, server, accounts):
    falls = replace(server, id="t", name="falls", alias=None, fallbacks=("x", "y"))
    async with store.begin() as tx:
        await tx.servers.add(server)
        await tx.servers.add(falls)
    (deployment,) = await make.deployed(store)
    async with store.begin() as tx:
        model = await tx.models.get(deployment.model_id, None)
        assert await tx.models.falling_back(accounts[0]) == []
        await tx.models.replace(replace(model, fallbacks=(deployment.id,)))
    async with store.read() as tx:
        assert await tx.servers.falling_back(accounts[0]) == [falls]
        assert await tx.servers.falling_back(accounts[1]) == []
        assert [each.id for each in await tx.models.falling_back(model.account_id)] == [model.id]
        assert await tx.deployments.models_of([deployment.id, "gone"]) == {deployment.id: model.id}


async def test_who_holds_an_account_is_waited_for_and_rows_of_it_are_not(store, other, server, accounts):
    seen = []

    async def second():
        async with other.begin() as tx:
            await tx.accounts.hold(accounts[0])
            seen.extend(await tx.servers.all())

    async with store.begin() as tx:
        await tx.accounts.hold(accounts[0])
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0.1)
        await tx.servers.add(server)
    await waiting
    assert seen == [server]
