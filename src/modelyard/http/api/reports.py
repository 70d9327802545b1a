"""Usage in any cut: our own, beside the client's usage statistics."""

from typing import Annotated, Any, get_args

from fastapi import APIRouter, Query
from fastapi.responses import Response

from modelyard.http.api.convert import reports as convert
from modelyard.http.api.convert.usage import moment, zone_of
from modelyard.http.api.given import GivenParts, GivenScope, problems
from modelyard.http.api.wire.reports import Dimension, ReportQuery, UsageReport

router = APIRouter(prefix="/v4", tags=["Usage"])

_CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}
TRUNCATED = "x-usage-truncated"
"""``true`` on CSV that has fewer lines than there are, which a table cannot say of itself."""


@router.get("/usage", responses={**problems(), **_CSV}, response_model=UsageReport)
async def usage(parts: GivenParts, scope: GivenScope, query: Annotated[ReportQuery, Query()]) -> UsageReport | Response:
    """What your accounts used and what it cost: calls, tokens, errors, latency, by whom and of what, over time."""
    where = {name: value for name in get_args(Dimension) if (value := getattr(query, name)) is not None}
    zone = zone_of(query.timezone)
    report = await parts.reports.usage(
        scope,
        moment(query.start_date, "start_date", zone),
        moment(query.end_date, "end_date", zone),
        group_by=list(dict.fromkeys(query.group_by)),
        interval=query.interval,
        where=where,
        limit=query.most,
        zone=zone,
    )
    if query.format == "csv":
        headers = {TRUNCATED: "true" if report.truncated else "false"}
        return Response(convert.as_csv(report), media_type="text/csv", headers=headers)
    return convert.answer(report)
