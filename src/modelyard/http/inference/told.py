"""What a call's answer tells in headers: who gave it, and what was changed on the way."""

from collections.abc import Sequence

from modelyard.domain.limits import Kind, Left, shown, window_end
from modelyard.gateway.metering import Call
from modelyard.http.inference.response import RawHeaders

SERVED_BY = "x-served-by"
"""The id of the deployment that answered: another than was called where that one's fallback did."""

ADJUSTED = "x-parameters-adjusted"
"""What was asked for and could not be had of whoever answered, in words."""

_MOST = 4000

_LIMIT_NAMES = {
    Kind.CALLS: "requests",
    Kind.TOKENS: "tokens",
    Kind.CONCURRENT: "concurrent",
    Kind.DAY: "dollars-day",
    Kind.MONTH: "dollars-month",
}


def told(call: Call) -> RawHeaders:
    headers = [(SERVED_BY.encode(), call.route.deployment_id.encode())]
    if call.admitted.left:
        headers += _left(call.admitted.left)
    if call.adjusted:
        words = "; ".join(call.adjusted)[:_MOST].encode("ascii", "replace")
        headers.append((ADJUSTED.encode(), b" ".join(words.split())))
    return tuple(headers)


def _left(left: Sequence[Left]) -> RawHeaders:
    """Of each kind of bound that one of which the least is left: what it is, what is left, and when it begins anew."""
    least: dict[Kind, Left] = {}
    for each in left:
        known = least.get(each.ask.kind)
        if known is None or each.amount < known.amount:
            least[each.ask.kind] = each
    headers = []
    for kind, each in least.items():
        name = _LIMIT_NAMES[kind]
        headers.append((f"x-ratelimit-limit-{name}".encode(), shown(kind, each.ask.bound).encode()))
        headers.append((f"x-ratelimit-remaining-{name}".encode(), shown(kind, each.amount).encode()))
        if (end := window_end(kind, each.ask.window)) is not None:
            headers.append((f"x-ratelimit-reset-{name}".encode(), end.isoformat().replace("+00:00", "Z").encode()))
    return tuple(headers)
