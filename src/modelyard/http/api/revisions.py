"""/v4/models/{model_id}/deployments/{deployment_id}/revisions and …/rollback"""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from modelyard.control.revisions import Entry
from modelyard.http.api.convert import deployments as convert
from modelyard.http.api.given import GivenParts, GivenScope, problems
from modelyard.http.api.settling import settled
from modelyard.http.api.wire.common import PageAnswer
from modelyard.http.api.wire.deployments import DeploymentAnswer
from modelyard.http.api.wire.revisions import ChangeAnswer, RevisionAnswer, RevisionQuery, Rollback

router = APIRouter(prefix="/v4/models/{model_id}/deployments/{deployment_id}", tags=["Deployments"])


@router.get("/revisions", responses=problems(404))
async def list_revisions(
    parts: GivenParts,
    scope: GivenScope,
    model_id: str,
    deployment_id: str,
    query: Annotated[RevisionQuery, Query()],
) -> PageAnswer[RevisionAnswer]:
    """What its workers were made of over time, newest first: what changed, when, why and by whom. The last 100 are
    kept."""
    entries = await parts.revisions.entries(scope, deployment_id, model_id)
    first = (query.page - 1) * query.limit
    return PageAnswer(
        items=[_answer(entry) for entry in entries[first : first + query.limit]],
        current_page=query.page,
        items_per_page=query.limit,
        total_item_count=len(entries),
    )


@router.post("/rollback", responses=problems(404, 409, 504))
async def rollback(
    parts: GivenParts, scope: GivenScope, request: Request, model_id: str, deployment_id: str, body: Rollback
) -> DeploymentAnswer:
    """Go back to an earlier revision. Workers roll over as with any change; scaling numbers stay."""
    changed = await parts.revisions.rollback(scope, deployment_id, model_id, body.revision)
    if body.wait_for_ready:
        changed = await settled(parts, request, changed)
    return convert.answer(changed, parts.deployments.status(changed))


def _answer(entry: Entry) -> RevisionAnswer:
    revision = entry.revision
    return RevisionAnswer(
        number=revision.number,
        revision=revision.revision,
        state=entry.state,
        why=revision.why,
        created_at=revision.created_at,
        created_by_user_id=revision.created_by.user_id,
        created_by_identity_type=revision.created_by.identity_type,
        ready_at=revision.ready_at,
        changes=[ChangeAnswer(field=each.field, before=each.before, after=each.after) for each in entry.changes],
    )
