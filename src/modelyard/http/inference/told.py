"""What a call's answer tells in headers: who gave it, and what was changed on the way."""

from modelyard.gateway.metering import Call
from modelyard.http.inference.response import RawHeaders

SERVED_BY = "x-served-by"
"""The id of the deployment that answered: another than was called where that one's fallback did."""

ADJUSTED = "x-parameters-adjusted"
"""What was asked for and could not be had of whoever answered, in words."""

_MOST = 4000


def told(call: Call) -> RawHeaders:
    served = (SERVED_BY.encode(), call.route.deployment_id.encode())
    if not call.adjusted:
        return (served,)
    words = "; ".join(call.adjusted)[:_MOST].encode("ascii", "replace")
    return (served, (ADJUSTED.encode(), b" ".join(words.split())))
