"""Usage statistics of deployments, models and model groups."""

from typing import Annotated

from fastapi import APIRouter, Query

from modelyard.http.api.convert import usage as convert
from modelyard.http.api.given import GivenParts, GivenScope, problems
from modelyard.http.api.wire.usage import UsageAnswer, UsageQuery

router = APIRouter(prefix="/v4", tags=["Usage"])


@router.get("/model-deployments/{deployment_id}/usage-statistics", responses=problems(404))
async def of_deployment(
    parts: GivenParts, scope: GivenScope, deployment_id: str, query: Annotated[UsageQuery, Query()]
) -> UsageAnswer:
    """Tokens used, over equal slices of time."""
    start, end = convert.moment(query.start_date, "start_date"), convert.moment(query.end_date, "end_date")
    return convert.answer(await parts.statistics.of_deployment(scope, deployment_id, start, end, query.chunks))


@router.get("/models/{model_name:path}/usage-statistics", responses=problems(404))
async def of_model(
    parts: GivenParts, scope: GivenScope, model_name: str, query: Annotated[UsageQuery, Query()]
) -> UsageAnswer:
    """Tokens used by your accounts on every deployment of the models of that name."""
    start, end = convert.moment(query.start_date, "start_date"), convert.moment(query.end_date, "end_date")
    return convert.answer(await parts.statistics.of_model(scope, model_name, start, end, query.chunks))


@router.get("/model-groups/{model_group_id}/usage-statistics", responses=problems(404))
async def of_group(
    parts: GivenParts, scope: GivenScope, model_group_id: str, query: Annotated[UsageQuery, Query()]
) -> UsageAnswer:
    """Tokens that the group's account used on the models that are in it now."""
    start, end = convert.moment(query.start_date, "start_date"), convert.moment(query.end_date, "end_date")
    return convert.answer(await parts.statistics.of_group(scope, model_group_id, start, end, query.chunks))
