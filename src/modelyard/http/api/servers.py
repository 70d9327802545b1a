"""/v4/serving: model servers, which the official client calls ``model_servers`` and ``alias``"""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from modelyard.control.servers import ServerDraft
from modelyard.http.api.convert import servers as convert
from modelyard.http.api.given import GivenAttempt, GivenParts, GivenScope, problems
from modelyard.http.api.lists import sort_keys
from modelyard.http.api.settling import while_wanted
from modelyard.http.api.wire.common import Deleted
from modelyard.http.api.wire.servers import (
    BackendChange,
    BackendChanged,
    CurrentDeployment,
    RolledBack,
    ServerAnswer,
    ServerChange,
    ServerCreate,
    ServerQuery,
)
from modelyard.store.paging import PageQuery

router = APIRouter(prefix="/v4/serving", tags=["Model servers"])

_STOPS = "The server stops, and nothing was changed."


@router.post("", responses=problems(404, 409))
async def create(parts: GivenParts, scope: GivenScope, attempt: GivenAttempt, body: ServerCreate) -> ServerAnswer:
    """A stable name in front of a deployment, which may be swapped for another one later."""
    draft = ServerDraft(body.name, body.alias, fallbacks=tuple(body.fallbacks or ()))
    return convert.answer(await parts.servers.create(scope, body.account_id, draft, body.model_deployment_id, attempt))


@router.get("", responses=problems())
async def list_all(
    parts: GivenParts, scope: GivenScope, query: Annotated[ServerQuery, Query()], response: Response
) -> list[ServerAnswer]:
    """The model servers of your accounts, as a plain array; the header ``x-total-count`` says how many there are."""
    accounts = scope.narrowed(query.account_id)
    page = await parts.servers.page(PageQuery(accounts, query.page, query.limit, sort_keys(query.sort_by)))
    response.headers["x-total-count"] = str(page.total)
    return [convert.answer(server) for server in page.items]


# Before the paths with an id, which "a" is not.
@router.get("/a/{alias}", responses=problems(404))
async def retrieve_by_alias(parts: GivenParts, scope: GivenScope, alias: str) -> ServerAnswer:
    return convert.answer(await parts.servers.by_alias(scope, alias))


@router.get("/{model_server_id}", responses=problems(404))
async def retrieve(parts: GivenParts, scope: GivenScope, model_server_id: str) -> ServerAnswer:
    return convert.answer(await parts.servers.get(scope, model_server_id))


@router.patch("/{model_server_id}", responses=problems(404, 409))
async def update(
    parts: GivenParts, scope: GivenScope, request: Request, model_server_id: str, body: ServerChange
) -> ServerAnswer:
    """Change what is sent: its name, its alias, how calls are shared among deployments, or who answers where those
    cannot."""
    change = parts.servers.change(scope, model_server_id, lambda server: convert.changed(server, body))
    return convert.answer(await while_wanted(parts, request, change, _STOPS))


@router.delete("/{model_server_id}", responses=problems(404, 409))
async def delete(parts: GivenParts, scope: GivenScope, model_server_id: str) -> Deleted:
    """The deployments behind it stay."""
    await parts.servers.delete(scope, model_server_id)
    return Deleted(count=1, success=True)


@router.get("/{model_server_id}/deployment", responses=problems(404, 503))
async def current_deployment(parts: GivenParts, scope: GivenScope, model_server_id: str) -> CurrentDeployment:
    """The deployment with the largest share of the calls."""
    return CurrentDeployment(model_deployment_id=(await parts.servers.get(scope, model_server_id)).main)


@router.put("/{model_server_id}/backend", responses=problems(404, 409))
async def update_backend(
    parts: GivenParts, scope: GivenScope, request: Request, model_server_id: str, body: BackendChange
) -> BackendChanged:
    """Swap what is behind it, once that has a worker. Calls under way are finished where they are; later ones go to the
    new deployment."""
    new = body.new_model_deployment_id
    swap = parts.servers.update_backend(scope, model_server_id, new)
    return convert.swap_answer(await while_wanted(parts, request, swap, _STOPS), new)


@router.post("/{model_server_id}/rollback", responses=problems(404, 409))
async def rollback(parts: GivenParts, scope: GivenScope, attempt: GivenAttempt, model_server_id: str) -> RolledBack:
    """Go back to what was there before the last swap."""
    before, after = await parts.servers.rollback(scope, model_server_id, attempt)
    return RolledBack(from_deployment=before, rolled_back_to_deployment=after)
