"""/v4/call-logs: every call, one by one"""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from modelyard.domain.call_logs import BY_COLUMN, CallLogSettings
from modelyard.http.api.convert import call_logs as convert
from modelyard.http.api.convert.usage import moment
from modelyard.http.api.given import GivenParts, GivenScope, problems
from modelyard.http.api.lists import page_answer
from modelyard.http.api.replaying import replayed
from modelyard.http.api.wire.call_logs import (
    CallAnswer,
    CallDetail,
    CallLogSettingsAnswer,
    CallLogSettingsBody,
    CallQuery,
    ReplayAnswer,
    ReplayBody,
)
from modelyard.http.api.wire.common import PageAnswer
from modelyard.store.call_logs import CallQuery as Query_

router = APIRouter(prefix="/v4/call-logs", tags=["Call log"])
of_account = APIRouter(prefix="/v4/accounts/{account_id}", tags=["Call log"])


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
async def call(parts: GivenParts, scope: GivenScope, call_id: str) -> CallDetail:
    """One call, with its content where that was kept and you govern the account or made the call."""
    return convert.detail(await parts.call_logs.get(scope, call_id))


@router.post("/{call_id}/replay", responses=problems(404, 409))
async def replay(
    parts: GivenParts, scope: GivenScope, request: Request, call_id: str, body: ReplayBody
) -> ReplayAnswer:
    """Ask another deployment what was asked then, and show both answers. It is a call like any other, and metered."""
    logged, deployment = await parts.call_logs.to_replay(scope, call_id, body.deployment)
    again = await replayed(parts.hot_routes, request, logged, deployment)
    return ReplayAnswer(logged=convert.detail(logged), replayed=again)


@of_account.get("/call-log-settings", responses=problems(404))
async def settings(parts: GivenParts, scope: GivenScope, account_id: str) -> CallLogSettingsAnswer:
    """What the account keeps of its calls' content."""
    return convert.settings_answer(await parts.call_logs.settings(scope, account_id))


@of_account.put("/call-log-settings", responses=problems(404))
async def set_settings(
    parts: GivenParts, scope: GivenScope, account_id: str, body: CallLogSettingsBody
) -> CallLogSettingsAnswer:
    """Say what is kept of calls from now on; in force within two seconds. For the account's admins."""
    wanted = CallLogSettings(account_id, body.bodies, body.retention_days, tuple(body.redact), body.max_body_bytes)
    return convert.settings_answer(await parts.call_logs.set_settings(scope, wanted))
