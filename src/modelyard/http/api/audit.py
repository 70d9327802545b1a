"""/v4/audit-log: to be read, and nothing else"""

from typing import Annotated

from fastapi import APIRouter, Query

from modelyard.domain.audit import AuditEntry
from modelyard.http.api.convert import usage
from modelyard.http.api.given import GivenParts, GivenScope, problems
from modelyard.http.api.lists import page_answer, page_query
from modelyard.http.api.wire.audit import AuditActor, AuditAnswer, AuditQuery
from modelyard.http.api.wire.common import PageAnswer
from modelyard.store.audit import AuditQuery as Query_

router = APIRouter(prefix="/v4/audit-log", tags=["Audit log"])

_EQUAL = ("actor_id", "key_id", "entity_type", "entity_id", "action", "request_id")


@router.get("", responses=problems(404))
async def entries(
    parts: GivenParts, scope: GivenScope, query: Annotated[AuditQuery, Query()]
) -> PageAnswer[AuditAnswer]:
    """Who changed what and when, newest first. For the account's admins; administrators of the installation see all."""
    where = {name: getattr(query, name) for name in _EQUAL}
    since = None if query.start_date is None else usage.moment(query.start_date, "start_date")
    until = None if query.end_date is None else usage.moment(query.end_date, "end_date")
    wanted = Query_(page_query(scope, query, where), since, until)
    page = await parts.audit_log.page(scope, wanted, query.account_id)
    return page_answer(page, [_answer(entry) for entry in page.items])


def _answer(entry: AuditEntry) -> AuditAnswer:
    return AuditAnswer(
        id=str(entry.id),
        created_at=entry.at,
        account_id=entry.account_id,
        actor=AuditActor(
            identity_id=entry.actor.identity_id,
            identity_type=entry.actor.identity_type,
            key_id=entry.actor.key_id,
        ),
        action=entry.action,
        entity_type=entry.entity_type,
        entity_id=entry.entity_id,
        before=None if entry.before is None else dict(entry.before),
        after=None if entry.after is None else dict(entry.after),
        request_id=entry.actor.request_id,
    )
