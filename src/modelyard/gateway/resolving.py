"""From what a client wrote in a path to the deployment it means."""

from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, Caller, Right
from modelyard.domain.deployments import DeploymentStatus
from modelyard.domain.routes import Route, RouteTable
from modelyard.errors import Forbidden, InvalidRequest, NotFound


def resolve(
    table: RouteTable, caller: Caller, reference: str, *, selected: str | None = None, model: str | None = None
) -> Route:
    """The one deployment that ``reference`` (an id, or a name) means to ``caller``.

    ``selected`` narrows names and ids to one of the caller's accounts and the platform's; ``model`` (a model's
    id or name) must be the deployment's own. Unknown and invisible raise the same `NotFound`; a name that means
    several deployments raises `InvalidRequest` with their ids.
    """
    route = table.by_id(reference)
    if route is None:
        route = _by_name(table, caller, reference, selected, model)
    if route is None or not _visible(route, caller, selected) or route.status is DeploymentStatus.DELETE_IN_PROGRESS:
        raise _unknown(reference)
    if not _is_of(route, model):
        raise _unknown(reference)
    if not caller.can(Right.CALL, route.account_id):
        raise Forbidden("Your role in this account lets you see its deployments, but not call them.")
    return route


def paying_account(caller: Caller, route: Route, selected: str | None) -> str:
    """The account a call is written down for: the selected one, else the deployment's if the caller belongs to
    it, else the caller's first."""
    if selected is not None:
        return selected
    if route.account_id in caller.roles:
        return route.account_id
    return next(iter(caller.roles), PLATFORM_ACCOUNT_ID)


def _visible(route: Route, caller: Caller, selected: str | None) -> bool:
    if selected is not None and route.account_id not in (selected, PLATFORM_ACCOUNT_ID):
        return False
    return caller.can(Right.READ, route.account_id)


def _is_of(route: Route, model: str | None) -> bool:
    return model is None or model in (route.model_id, route.model_name)


def _by_name(table: RouteTable, caller: Caller, name: str, selected: str | None, model: str | None) -> Route | None:
    own = (selected,) if selected is not None else tuple(caller.roles)
    readable = [account for account in own if caller.can(Right.READ, account)]
    own_ones = [route for account in readable for route in table.by_name((account,), name)]
    # The caller's own deployments go before built-in ones of the same name.
    found = own_ones or list(table.by_name((PLATFORM_ACCOUNT_ID,), name))
    # Names are unique within a model.
    found = [r for r in found if _is_of(r, model) and r.status is not DeploymentStatus.DELETE_IN_PROGRESS]
    if len(found) > 1:
        ids = ", ".join(sorted(route.deployment_id for route in found))
        raise InvalidRequest.at(
            "path",
            "id",
            msg=f"'{name}' is the name of several deployments; use one of the ids {ids}",
            code="ambiguous_name",
        )
    return found[0] if found else None


def _unknown(reference: str) -> NotFound:
    return NotFound(f"There is no deployment '{reference}'.", code="deployment_not_found")
