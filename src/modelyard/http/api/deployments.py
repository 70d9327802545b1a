"""/v4/models/{model_id}/deployments and /v4/model-deployments"""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from modelyard.domain.deployments import Deployment
from modelyard.http.api.convert import deployments as convert
from modelyard.http.api.given import GivenAttempt, GivenParts, GivenScope, problems
from modelyard.http.api.lists import page_answer, page_query
from modelyard.http.api.settling import settled
from modelyard.http.api.wire.common import Deleted, ListQuery, PageAnswer
from modelyard.http.api.wire.deployments import (
    DeploymentAnswer,
    DeploymentChange,
    DeploymentCreate,
    EventQuery,
    EventsAnswer,
    LogQuery,
    LogsAnswer,
)
from modelyard.http.parts import Parts

router = APIRouter(prefix="/v4/models/{model_id}/deployments", tags=["Deployments"])
by_id = APIRouter(prefix="/v4/model-deployments", tags=["Deployments"])

_OF_WORKERS = frozenset({"model_creation_parameters", "vendor_configuration"})


@router.post("", responses=problems(404, 409, 504))
async def create(
    parts: GivenParts,
    scope: GivenScope,
    attempt: GivenAttempt,
    request: Request,
    model_id: str,
    body: DeploymentCreate,
) -> DeploymentAnswer:
    """Put a model up to be called."""
    made = await parts.deployments.create(scope, model_id, body.account_id, convert.draft(body), attempt)
    return _answer(parts, await settled(parts, request, made) if body.wait_for_ready else made)


@router.get("", responses=problems(404))
async def list_of_model(
    parts: GivenParts, scope: GivenScope, model_id: str, query: Annotated[ListQuery, Query()]
) -> PageAnswer[DeploymentAnswer]:
    page = await parts.deployments.page_of_model(scope, model_id, page_query(scope, query))
    return page_answer(page, [_answer(parts, each) for each in page.items])


@router.get("/{deployment_id}", responses=problems(404))
async def retrieve(parts: GivenParts, scope: GivenScope, model_id: str, deployment_id: str) -> DeploymentAnswer:
    return _answer(parts, await parts.deployments.get(scope, deployment_id, model_id))


@router.patch("/{deployment_id}", responses=problems(404, 409, 504))
async def update(
    parts: GivenParts, scope: GivenScope, request: Request, model_id: str, deployment_id: str, body: DeploymentChange
) -> DeploymentAnswer:
    """Change what is sent. Workers roll over without a dropped request; scaling numbers alone restart none."""
    changed = await parts.deployments.change(
        scope, deployment_id, model_id, lambda deployment: convert.changed(deployment, body)
    )
    # A new name or other metadata is nothing that workers could fail at.
    waits = body.wait_for_ready and not _OF_WORKERS.isdisjoint(body.model_fields_set)
    return _answer(parts, await settled(parts, request, changed) if waits else changed)


@router.delete("/{deployment_id}", responses=problems(404, 409))
async def delete(parts: GivenParts, scope: GivenScope, model_id: str, deployment_id: str) -> Deleted:
    """Calls under way are finished first; until its workers are gone its status is DELETE_IN_PROGRESS."""
    await parts.deployments.delete(scope, deployment_id, model_id)
    return Deleted(count=1, success=True)


@by_id.get("", responses=problems())
async def list_all(
    parts: GivenParts, scope: GivenScope, query: Annotated[ListQuery, Query()]
) -> PageAnswer[DeploymentAnswer]:
    """The deployments of every model that you may see."""
    page = await parts.deployments.page(page_query(scope, query))
    return page_answer(page, [_answer(parts, each) for each in page.items])


@by_id.get("/{deployment_id}", responses=problems(404))
async def retrieve_by_id(parts: GivenParts, scope: GivenScope, deployment_id: str) -> DeploymentAnswer:
    """As under its model, where that is not at hand."""
    return _answer(parts, await parts.deployments.get(scope, deployment_id))


@by_id.get("/{deployment_id}/logs", responses=problems(404))
async def logs(
    parts: GivenParts, scope: GivenScope, deployment_id: str, query: Annotated[LogQuery, Query()]
) -> LogsAnswer:
    """The last lines of each of its workers, those that failed lately included."""
    return convert.logs(await parts.deployments.logs(scope, deployment_id, query.lines))


@by_id.get("/{deployment_id}/events", responses=problems(404))
async def events(
    parts: GivenParts, scope: GivenScope, deployment_id: str, query: Annotated[EventQuery, Query()]
) -> EventsAnswer:
    """What happened to it, newest first."""
    return convert.events(await parts.deployments.events(scope, deployment_id, query.limit))


def _answer(parts: Parts, deployment: Deployment) -> DeploymentAnswer:
    return convert.answer(deployment, parts.deployments.status(deployment))
