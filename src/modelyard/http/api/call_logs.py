"""/v4/call-logs: every call, one by one"""

from typing import Annotated

from fastapi import APIRouter, Query

from modelyard.domain.call_logs import BY_COLUMN
from modelyard.http.api.convert import call_logs as convert
from modelyard.http.api.convert.usage import moment
from modelyard.http.api.given import GivenParts, GivenScope, problems
from modelyard.http.api.lists import page_answer
from modelyard.http.api.wire.call_logs import CallAnswer, CallQuery
from modelyard.http.api.wire.common import PageAnswer
from modelyard.store.call_logs import CallQuery as Query_

router = APIRouter(prefix="/v4/call-logs", tags=["Call log"])


@router.get("", responses=problems())
async def calls(parts: GivenParts, scope: GivenScope, query: Annotated[CallQuery, Query()]) -> PageAnswer[CallAnswer]:
    """The calls that your accounts paid for, newest first."""
    wanted = Query_(
        accounts=(),
        page=query.page,
        limit=query.limit,
        oldest_first=query.sort_by == ["created_at:asc"],
        where={name: str(value) for name in BY_COLUMN if (value := getattr(query, name)) is not None},
        since=None if query.start_date is None else moment(query.start_date, "start_date"),
        until=None if query.end_date is None else moment(query.end_date, "end_date"),
    )
    page = await parts.call_logs.page(scope, wanted, query.account_id)
    return page_answer(page, [convert.answer(record) for record in page.items])


@router.get("/{call_id}", responses=problems(404))
async def call(parts: GivenParts, scope: GivenScope, call_id: str) -> CallAnswer:
    """One call."""
    return convert.answer((await parts.call_logs.get(scope, call_id)).record)
