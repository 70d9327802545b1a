"""From what a client wrote, in a path or as its body's model, to the deployment it means.

One order for all calls: a deployment's id, a model server's id; then in the caller's accounts a model server's
alias or name, a deployment's name, a model's name or id; then the built-in deployments and models.
"""

import difflib
import itertools
import random
from collections.abc import Callable, Iterable, Iterator

from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, Caller, Right
from modelyard.domain.routes import Route, RouteTable, ServerRoute
from modelyard.errors import Forbidden, InvalidRequest, NotFound, Unavailable

_LOOKED_AT = 2000
"""Names among which a similar one is looked for."""

_PLATFORM = (PLATFORM_ACCOUNT_ID,)

Draw = Callable[[], float]
"""A number from 0 on and below 1, another one each time."""

_numbers = random.Random()  # noqa: S311  # shares calls out, nothing more


def resolve(
    table: RouteTable,
    caller: Caller,
    reference: str,
    *,
    selected: str | None = None,
    model: str | None = None,
    draw: Draw = _numbers.random,
) -> Route:
    """The one deployment that ``reference`` means to ``caller``.

    ``selected`` narrows names and ids to one of the caller's accounts and the platform's; ``model`` (a model's
    id or name) says that a deployment of that model is meant. Unknown and invisible raise the same `NotFound`; a
    name that means several deployments raises `InvalidRequest` with their ids.
    """
    route = table.by_id(reference)
    if route is None and model is None and (server := table.server(reference)) is not None:
        return through(server, caller, selected, draw)
    if route is None:
        found = _by_name(table, caller, reference, selected, model)
        if isinstance(found, ServerRoute):
            return through(found, caller, selected, draw)
        route = found
    if route is None or not _visible(route.account_id, caller, selected) or route.is_going:
        raise unknown(table, caller, reference, selected)
    if not _is_of(route, model) or not _is_let_through(route, caller):
        raise unknown(table, caller, reference, selected)
    _require_call(caller, route.account_id, selected)
    return route


def resolve_server(
    table: RouteTable,
    caller: Caller,
    reference: str,
    *,
    selected: str | None = None,
    by_alias: bool = False,
    draw: Draw = _numbers.random,
) -> Route:
    """The deployment behind a model server of which ``reference`` is the id, or with ``by_alias`` the alias."""
    if by_alias:
        named = _servers(table, caller, _own(caller, selected), reference)
        found = [server for server in named if server.alias == reference]
    else:
        by_id = table.server(reference)
        found = [] if by_id is None else [by_id]
    if len(found) > 1:
        raise _ambiguous(reference, (server.server_id for server in found), "model servers")
    if not found or not _visible(found[0].account_id, caller, selected) or not _serves(found[0], caller):
        raise _unknown_server(table, caller, reference, selected)
    return through(found[0], caller, selected, draw)


def through(server: ServerRoute, caller: Caller, selected: str | None, draw: Draw) -> Route:
    """One of a model server's backends, drawn by weight."""
    if not _visible(server.account_id, caller, selected) or not _serves(server, caller):
        raise NotFound(f"There is no deployment '{server.server_id}'.", code="deployment_not_found")
    _require_call(caller, server.account_id, selected)
    route = server.choose(draw())
    if route is None:
        raise Unavailable(
            f"The model server '{server.name}' has no deployment behind it any more.",
            code="no_backend",
            retry_after=5,
            hint=f"PUT /v4/serving/{server.server_id}/backend names another one.",
        )
    return route


def callable_by(table: RouteTable, caller: Caller, *, selected: str | None = None) -> list[Route]:
    """Every route that the caller may call: its own, and the platform's."""
    return [
        route
        for route in table
        if not route.is_going
        and _visible(route.account_id, caller, selected)
        and _is_let_through(route, caller)
        and caller.can(Right.CALL, _calling_for(route.account_id, selected))
    ]


def servers_callable_by(table: RouteTable, caller: Caller, *, selected: str | None = None) -> dict[str, Route]:
    """The model servers that the caller may call, by what means them (an alias where there is one, the id where a name
    means several), each with one of the routes behind it."""
    found: dict[str, Route] = {}
    for server in table.servers():
        route = server.choose(0)
        allowed = _visible(server.account_id, caller, selected) and caller.can(Right.CALL, server.account_id)
        allowed = allowed and _serves(server, caller)
        if route is None or not allowed:
            continue
        name = server.alias or server.name
        named = _servers(table, caller, _own(caller, selected), name)
        found[name if named == [server] else server.server_id] = route
    return found


def readable(caller: Caller, selected: str | None) -> tuple[str, ...]:
    """The accounts in which a caller may mean something by a name."""
    platform = (PLATFORM_ACCOUNT_ID,) if caller.sees(PLATFORM_ACCOUNT_ID) else ()
    return (*_own(caller, selected), *platform)


def not_deployed(model_id: str, reference: str) -> NotFound:
    """What a model is answered with that nobody can call yet."""
    return NotFound(
        f"The model '{reference}' has no deployment, so nothing can answer.",
        code="model_not_deployed",
        hint=f"POST /v4/models/{model_id}/deployments makes one.",
    )


def paying_account(caller: Caller, route: Route, selected: str | None) -> str:
    """The account a call is written down for: the selected one, else the deployment's if the caller belongs to
    it, else the first in which the caller may call."""
    if selected is not None:
        return selected
    if route.account_id in caller.roles:
        return route.account_id
    able = (account for account in caller.roles if caller.can(Right.CALL, account))
    return next(able, PLATFORM_ACCOUNT_ID)


def unknown(table: RouteTable, caller: Caller, reference: str, selected: str | None = None) -> NotFound:
    """The same words whether it exists or not; names that the caller may see and that look similar are told."""
    names = (name for account in readable(caller, selected) for name in table.names(account))
    names = (name for name in names if caller.may_call(name))
    return NotFound(
        f"There is no deployment '{reference}'.", code="deployment_not_found", hint=_similar(reference, names)
    )


def _unknown_server(table: RouteTable, caller: Caller, reference: str, selected: str | None) -> NotFound:
    """As `unknown`: aliases that the caller may see and that look similar are told."""
    own = set(_own(caller, selected))
    seen = (server for server in table.servers() if server.account_id in own and _serves(server, caller))
    hint = _similar(reference, (server.alias for server in seen if server.alias is not None))
    return NotFound(f"There is no model server '{reference}'.", code="model_server_not_found", hint=hint)


def _similar(reference: str, names: Iterable[str]) -> str | None:
    similar = difflib.get_close_matches(reference, list(itertools.islice(names, _LOOKED_AT)))
    return f"Did you mean {' or '.join(map(repr, similar))}?" if similar else None


def _own(caller: Caller, selected: str | None) -> Iterator[str]:
    """The caller's accounts in which it may read."""
    wanted = (selected,) if selected is not None else tuple(caller.roles)
    return (account for account in wanted if caller.sees(account))


def _visible(account_id: str, caller: Caller, selected: str | None) -> bool:
    if selected is not None and account_id not in (selected, PLATFORM_ACCOUNT_ID):
        return False
    return caller.sees(account_id)


def _is_let_through(route: Route, caller: Caller) -> bool:
    # A key that is narrowed to some models knows of no others.
    return caller.models is None or caller.may_call(
        route.deployment_id, route.deployment_name, route.model_id, route.model_name
    )


def _serves(server: ServerRoute, caller: Caller) -> bool:
    """As `_is_let_through`: whoever may call a model server may call whatever is behind it."""
    names = (server.server_id, server.name) if server.alias is None else (server.server_id, server.name, server.alias)
    return caller.may_call(*names)


def _require_call(caller: Caller, account_id: str, selected: str | None) -> None:
    if not caller.lets_through(Right.CALL):
        raise Forbidden(
            "This key's scopes do not include inference.",
            code="scope_missing",
            hint="Use a key without scopes, or with the scope inference.",
        )
    if not caller.can(Right.CALL, _calling_for(account_id, selected)):
        raise Forbidden("Your role in this account lets you see its deployments, but not call them.")


def _calling_for(account_id: str, selected: str | None) -> str:
    """Where the right to call is needed: what the platform offers is called for an account of the caller's own."""
    return selected if selected is not None and account_id == PLATFORM_ACCOUNT_ID else account_id


def _is_of(route: Route, model: str | None) -> bool:
    return model is None or model in (route.model_id, route.model_name)


def _servers(table: RouteTable, caller: Caller, accounts: Iterable[str], name: str) -> list[ServerRoute]:
    return [
        server
        for account in accounts
        if (server := table.server_named(account, name)) is not None and _serves(server, caller)
    ]


def _by_name(
    table: RouteTable, caller: Caller, name: str, selected: str | None, model: str | None
) -> Route | ServerRoute | None:
    own = tuple(_own(caller, selected))
    if model is None and (servers := _servers(table, caller, own, name)):
        if len(servers) > 1:
            raise _ambiguous(name, (server.server_id for server in servers), "model servers")
        return servers[0]
    # The caller's own deployments and models go before built-in ones of the same name.
    for accounts in (own, _PLATFORM):
        # Names are unique within a model.
        found = [
            route
            for account in accounts
            for route in table.by_name(account, name)
            if _is_of(route, model) and not route.is_going and _is_let_through(route, caller)
        ]
        if not found and model is None:
            found = [route for account in accounts if (route := table.by_model(account, name)) is not None]
        if len(found) > 1:
            raise _ambiguous(name, (route.deployment_id for route in found), "deployments")
        if found:
            return found[0]
    return None


def _ambiguous(name: str, ids: Iterable[str], what: str) -> InvalidRequest:
    msg = f"'{name}' is the name of several {what}; use one of the ids {', '.join(sorted(ids))}"
    return InvalidRequest.at("path", "id", msg=msg, code="ambiguous_name")
