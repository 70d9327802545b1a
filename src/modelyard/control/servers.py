"""What the API does to model servers."""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

from modelyard.clock import Clock
from modelyard.control.again import until_unmet
from modelyard.control.fallbacks import FIELD, refuse_servers_circle, with_fallbacks
from modelyard.control.idempotency import Attempt, create_once
from modelyard.control.scope import Scope
from modelyard.control.server_checks import check_backends, unknown_backend
from modelyard.control.warming import cold_ones, demand, wait_until_warm
from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, Right
from modelyard.domain.deployments import Deployment
from modelyard.domain.servers import Backend, Backends, ModelServer, main_of, rolled_back, swapped
from modelyard.errors import Conflict, InvalidRequest, NotFound, Unavailable
from modelyard.store import Store, Transaction
from modelyard.store.paging import Page, PageQuery


@dataclass(frozen=True, slots=True)
class ServerDraft:
    """What owners write of a model server. ``backends`` and ``fallbacks`` None: those that are there stay."""

    name: str
    alias: str | None = None
    backends: Backends | None = None
    fallbacks: tuple[str, ...] | None = None
    """Ids or names of deployments."""


@dataclass(frozen=True, slots=True)
class Swap:
    """One model server, and the main deployment that it had before."""

    server: ModelServer
    before: str | None


class Servers:
    """Model servers, as their owners see them. ``on_change`` is awaited once a change is written down, so that calls
    that come after the answer see it; ``cold_start_seconds`` is how long a swap waits for a worker of what is idle."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        nudge: Callable[[str], None],
        on_change: Callable[[], Awaitable[None]],
        cold_start_seconds: float,
    ) -> None:
        self._store = store
        self._clock = clock
        self._nudge = nudge
        self._on_change = on_change
        self._cold_start_seconds = cold_start_seconds

    async def create(
        self, scope: Scope, account_id: str | None, draft: ServerDraft, deployment_id: str, attempt: Attempt
    ) -> ModelServer:
        now = self._clock.now()

        async def make(tx: Transaction) -> ModelServer:
            account = await _account_of(tx, scope, account_id, deployment_id)
            signature = scope.signature(account, now)
            server = ModelServer(
                id=str(uuid4()), **signature, name=draft.name, alias=draft.alias, backends=(Backend(deployment_id),)
            )
            await tx.accounts.hold(account)
            await check_backends(tx, account, (), server.backends, now, "body", "model_deployment_id")
            if draft.fallbacks:
                server = await with_fallbacks(tx, server, draft.fallbacks)
                await refuse_servers_circle(tx, server, *FIELD)
            await tx.servers.add(server)
            return server

        async def again(tx: Transaction, server_id: str) -> ModelServer:
            return await tx.servers.get(server_id, scope.readable)

        made = await create_once(self._store, attempt, now, make=make, again=again)
        await self._tell()
        return made

    async def get(self, scope: Scope, server_id: str) -> ModelServer:
        async with self._store.read() as tx:
            return await tx.servers.get(server_id, scope.readable)

    async def by_alias(self, scope: Scope, alias: str) -> ModelServer:
        async with self._store.read() as tx:
            found = await tx.servers.with_alias(alias, scope.readable)
        if not found:
            raise NotFound(f"There is no model server '{alias}'.", code="model_server_not_found")
        if len(found) > 1:
            ids = ", ".join(server.id for server in found)
            msg = f"'{alias}' is an alias in several accounts; use one of the ids {ids}, or select an account"
            raise InvalidRequest.at("path", "alias", msg=msg, code="ambiguous_name")
        return found[0]

    async def page(self, query: PageQuery) -> Page[ModelServer]:
        async with self._store.read() as tx:
            return await tx.servers.page(query)

    async def change(self, scope: Scope, server_id: str, draft: Callable[[ModelServer], ServerDraft]) -> ModelServer:
        """Put ``draft(server)`` in the server's place. Backends that are idle are woken first, and waited for."""
        await self._warm(scope, server_id, lambda server: draft(server).backends or ())

        async def once(tx: Transaction, server: ModelServer) -> ModelServer:
            wanted = draft(server)
            if wanted.backends is not None:
                server = await self._swapped(tx, server, wanted.backends, "body", "backends")
            if wanted.fallbacks is not None and wanted.fallbacks != server.fallbacks:
                server = await with_fallbacks(tx, server, wanted.fallbacks)
            await refuse_servers_circle(tx, server, *(("body", "backends") if wanted.fallbacks is None else FIELD))
            return replace(server, name=wanted.name, alias=wanted.alias)

        return (await self._change(scope, server_id, once)).server

    async def update_backend(self, scope: Scope, server_id: str, deployment_id: str) -> Swap:
        """Put one deployment behind it, in place of all that were there, once that has a worker: until then calls go
        where they went. Repeating it changes nothing, and gives the same."""
        await self._warm(scope, server_id, lambda _: (Backend(deployment_id),))

        async def once(tx: Transaction, server: ModelServer) -> ModelServer:
            loc = ("body", "new_model_deployment_id")
            server = await self._swapped(tx, server, (Backend(deployment_id),), *loc)
            await refuse_servers_circle(tx, server, *loc)
            return server

        return await self._change(scope, server_id, once)

    async def rollback(self, scope: Scope, server_id: str, attempt: Attempt) -> tuple[str, str]:
        """Go back to what was there before the last swap: the main deployments before and after. At once: what is idle
        is woken, but not waited for. A repeated call goes back once."""
        now = self._clock.now()
        woken: list[Deployment] = []

        async def make(tx: Transaction) -> tuple[str, str]:
            server = await _held(tx, scope, server_id)
            back = rolled_back(server, await _there(tx, server))
            if back is None:
                raise Conflict(
                    f"The model server '{server.name}' has no earlier deployment that is still there.",
                    code="no_earlier_backend",
                    hint=f"PUT /v4/serving/{server.id}/backend puts another one behind it.",
                )
            loc = ("path", "model_server_id")
            await check_backends(tx, server.account_id, server.backends, back.backends, now, *loc)
            await refuse_servers_circle(tx, back, *loc)
            await tx.servers.replace(back)
            woken[:] = await cold_ones(tx, self._clock, _called(back.backends))
            await demand(tx, self._clock, woken)
            return server.main, back.main

        async def again(tx: Transaction, done: str) -> tuple[str, str]:
            before, after = done.split(" ")
            return before, after

        async def once() -> tuple[str, str]:
            return await create_once(self._store, attempt, now, make=make, again=again, id_of=" ".join)

        done = await until_unmet(once)
        for deployment in woken:
            self._nudge(deployment.id)
        await self._tell()
        return done

    async def delete(self, scope: Scope, server_id: str) -> None:
        """The deployments behind it stay; calls under way are finished."""
        async with self._store.begin() as tx:
            await tx.servers.delete((await _to_write(tx, scope, server_id)).id)
        await self._tell()

    async def _warm(self, scope: Scope, server_id: str, wanted: Callable[[ModelServer], Backends]) -> None:
        async with self._store.read() as tx:
            server = await _to_write(tx, scope, server_id)
            known = {backend.deployment_id for backend in server.backends}
            new = [each for each in _called(wanted(server)) if each not in known]
            there = await tx.deployments.of_ids(new)
        accounts = (server.account_id, PLATFORM_ACCOUNT_ID)
        ids = [each.id for each in there if each.account_id in accounts]
        await wait_until_warm(self._store, self._clock, self._nudge, ids, self._cold_start_seconds)

    async def _tell(self) -> None:
        # What is written down is written down: where the store is away right after, calls see it once it is back.
        with contextlib.suppress(Unavailable):
            await self._on_change()

    async def _swapped(self, tx: Transaction, server: ModelServer, backends: Backends, *loc: str) -> ModelServer:
        if backends != server.backends:
            await check_backends(tx, server.account_id, server.backends, backends, self._clock.now(), *loc)
        return swapped(server, backends)

    async def _change(
        self, scope: Scope, server_id: str, change: Callable[[Transaction, ModelServer], Awaitable[ModelServer]]
    ) -> Swap:
        async def once() -> Swap:
            async with self._store.begin() as tx:
                server = await _held(tx, scope, server_id)
                changed = await change(tx, server)
                if changed != server:
                    await tx.servers.replace(changed)
                    return Swap(changed, server.main)
                return Swap(server, main_of(server.earlier[-1]) if server.earlier else None)

        done = await until_unmet(once)
        await self._tell()
        return done


def _called(backends: Backends) -> list[str]:
    return [backend.deployment_id for backend in backends if backend.weight]


async def _account_of(tx: Transaction, scope: Scope, wanted: str | None, deployment_id: str) -> str:
    """A server belongs where its deployment does; one of a built-in deployment, to whoever makes it."""
    if wanted is None:
        try:
            deployment = await tx.deployments.get(deployment_id, scope.readable)
        except NotFound as error:
            raise unknown_backend(deployment_id, "body", "model_deployment_id") from error
        wanted = None if deployment.account_id == PLATFORM_ACCOUNT_ID else deployment.account_id
    return scope.account_to_write(wanted)


async def _there(tx: Transaction, server: ModelServer) -> Sequence[str]:
    ids = {backend.deployment_id for backends in server.earlier for backend in backends}
    return [found.id for found in await tx.deployments.of_ids(sorted(ids)) if not found.target.deleted]


async def _held(tx: Transaction, scope: Scope, server_id: str) -> ModelServer:
    """As `_to_write`, to be changed: two changes that are well each, and a circle together, wait for each other."""
    server = await _to_write(tx, scope, server_id)
    await tx.accounts.hold(server.account_id)
    return server


async def _to_write(tx: Transaction, scope: Scope, server_id: str) -> ModelServer:
    server = await tx.servers.get(server_id, scope.readable)
    scope.require(Right.WRITE, server.account_id)
    return server
