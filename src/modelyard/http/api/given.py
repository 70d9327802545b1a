"""What every route is given: the parts, who calls, and which try this is."""

from collections import Counter
from typing import Annotated, Any

from fastapi import Depends, Request

from modelyard.control.idempotency import Attempt
from modelyard.control.scope import Scope, require_scope
from modelyard.domain.accounts import Right
from modelyard.errors import InvalidRequest
from modelyard.http.api.wire.common import Problem
from modelyard.http.auth import ACCOUNT_HEADER
from modelyard.http.parts import Parts

MAX_IDEMPOTENCY_KEY = 255
_LISTS = ("sort_by", "view", "group_by")


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def _scope(request: Request) -> Scope:
    scope = _any_scope(request)
    require_scope(scope.caller, Right.READ)
    return scope


def _any_scope(request: Request) -> Scope:
    _refuse_repeated(request)
    # Left there by the guard, which every path that needs it goes through.
    scope: Scope = request.state.caller_scope
    return scope


def _refuse_repeated(request: Request) -> None:
    """Of a parameter that is given twice one value would be ignored in silence; only lists may be repeated."""
    counted = Counter(name for name, _ in request.query_params.multi_items())
    for name, times in counted.items():
        if times > 1 and name not in _LISTS:
            raise InvalidRequest.at("query", name, msg=f"is given {times} times; give it once")


async def _attempt(request: Request) -> Attempt:
    name = request.headers.get("idempotency-key")
    if name is not None and not 0 < len(name) <= MAX_IDEMPOTENCY_KEY:
        msg = f"must have 1 to {MAX_IDEMPOTENCY_KEY} characters"
        raise InvalidRequest.at("header", "idempotency-key", msg=msg)
    retries = request.headers.get("x-stainless-retry-count", "0")
    return Attempt.of(
        _any_scope(request).caller.key_id,
        method=request.method,
        path=request.url.path,
        account=request.headers.get(ACCOUNT_HEADER, ""),
        body=await request.body(),
        name=name,
        retries=int(retries) if retries.isdecimal() and len(retries) < 6 else 0,
    )


GivenParts = Annotated[Parts, Depends(_parts)]
GivenScope = Annotated[Scope, Depends(_scope)]
"""For all but the calls below: the key's scopes must let reading through, or more."""
GivenAnyScope = Annotated[Scope, Depends(_any_scope)]
"""For what every key may ask and do about itself, whatever its scopes."""
GivenAttempt = Annotated[Attempt, Depends(_attempt)]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route, for /openapi.json: those that every call may meet, and its own."""
    # By reference: FastAPI would make a validator of the same shape for each status of each route.
    return {status: {"description": _WORDS[status], "content": _PROBLEM} for status in sorted({*_ALWAYS, *statuses})}


_PROBLEM = {"application/json": {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
_ALWAYS = (400, 401, 403, 413, 422, 503)
_WORDS = {
    400: "The bytes are not what they claim to be",
    401: "No key, or one that is not valid",
    403: "This key may not do that",
    404: "Unknown, or not visible to this key",
    409: "Would break a promise made to somebody else",
    413: "The body is too large",
    422: "Well-formed, but wrong: names the fields",
    503: "Not now; see Retry-After",
    504: "Took too long",
}
