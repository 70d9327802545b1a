"""Finding what callers mean, in what can be called now."""

from collections.abc import Callable

from modelyard.clock import Clock
from modelyard.domain.accounts import Caller
from modelyard.domain.routes import Route, RouteTable
from modelyard.errors import NotFound
from modelyard.gateway.looking import SecondLook
from modelyard.gateway.ports import RouteSource
from modelyard.gateway.resolving import (
    callable_by,
    not_deployed,
    readable,
    resolve,
    resolve_server,
    servers_callable_by,
)


class Finding:
    """The part of the gateway that a call begins with."""

    def __init__(self, routes: RouteSource, clock: Clock) -> None:
        self._routes = routes
        self._second_look = SecondLook(routes, clock)

    async def resolve(
        self, caller: Caller, reference: str, *, selected: str | None = None, model: str | None = None
    ) -> Route:
        """See `modelyard.gateway.resolving.resolve`. What is unknown is looked for once more: it may be new."""
        try:
            return await self._found(lambda table: resolve(table, caller, reference, selected=selected, model=model))
        except NotFound as error:
            accounts = readable(caller, selected) if model is None and caller.may_call(reference) else ()
            if accounts and (id_ := await self._routes.undeployed(accounts, reference)):
                raise not_deployed(id_, reference) from error
            raise

    async def resolve_server(
        self, caller: Caller, reference: str, *, selected: str | None = None, by_alias: bool = False
    ) -> Route:
        """See `modelyard.gateway.resolving.resolve_server`; as `resolve`."""
        return await self._found(
            lambda table: resolve_server(table, caller, reference, selected=selected, by_alias=by_alias)
        )

    async def _found(self, look: Callable[[RouteTable], Route]) -> Route:
        try:
            return look(self._routes.snapshot())
        except NotFound:
            if not await self._second_look.take():
                raise
        return look(self._routes.snapshot())

    def servers_callable_by(self, caller: Caller, *, selected: str | None = None) -> dict[str, Route]:
        """See `modelyard.gateway.resolving.servers_callable_by`."""
        return servers_callable_by(self._routes.snapshot(), caller, selected=selected)

    def callable_by(self, caller: Caller, *, selected: str | None = None) -> list[Route]:
        """Every route that the caller may call."""
        return callable_by(self._routes.snapshot(), caller, selected=selected)
