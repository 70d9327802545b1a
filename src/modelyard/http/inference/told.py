"""What a call's answer tells in headers: who gave it, and what was changed on the way."""

from modelyard.gateway.metering import Call
from modelyard.http.inference.response import RawHeaders
from modelyard.http.left import left_headers

SERVED_BY = "x-served-by"
"""The id of the deployment that answered: another than was called where that one's fallback did."""

ADJUSTED = "x-parameters-adjusted"
"""What was asked for and could not be had of whoever answered, in words."""

_MOST = 4000


def told(call: Call) -> RawHeaders:
    headers = [(SERVED_BY.encode(), call.route.deployment_id.encode())]
    if call.admitted.left:
        headers += [(name.encode(), value.encode()) for name, value in left_headers(call.admitted.left).items()]
    if call.adjusted:
        words = "; ".join(call.adjusted)[:_MOST].encode("ascii", "replace")
        headers.append((ADJUSTED.encode(), b" ".join(words.split())))
    return tuple(headers)
