"""What a vendor's error means to those who call us: one table for all vendors, by what went wrong.

A vendor's 401 is about this server's credentials and never the caller's key, so it becomes a 502 that says so. What
the caller can mend is a 422 with the vendor's words; what passes is a 429 or 503 that says when to come back.
"""

from enum import Enum, auto

from modelyard.domain.history import CONTEXT_LENGTH_EXCEEDED
from modelyard.errors import (
    FieldError,
    InvalidRequest,
    ModelyardError,
    RateLimited,
    Unavailable,
    UpstreamError,
    UpstreamTimeout,
)

_CHECK_CREDENTIALS = "An administrator can mend this in the vendor's settings, or in the account's credentials."
_CHECK_BILL = "An administrator can mend this in the account at the vendor."
_CHECK_NAME = "Check the model's name, its region and whether the account at the vendor may use it."


class Fault(Enum):
    """What went wrong at the vendor."""

    REFUSED = auto()  # something in the request; the vendor's words say what
    FILTERED = auto()  # by a content filter, before there was an answer
    TOO_LONG = auto()  # the input does not fit the model's context window
    CREDENTIALS = auto()  # missing, unknown, expired, or without the right
    UNPAID = auto()  # no credit, or a budget at the vendor is spent
    UNKNOWN_MODEL = auto()
    RATE_LIMITED = auto()
    BUSY = auto()
    SLOW = auto()
    FAILED = auto()


def vendor_error(
    fault: Fault, vendor: str, text: str, *, field: str | None = None, retry_after: float | None = None
) -> ModelyardError:
    """The error for ``fault``, in ``vendor``'s own words ``text``; ``field`` is the request's, where one is known.
    ``retry_after`` are the seconds that the body tells, where it does."""
    again = 1.0 if retry_after is None else retry_after
    match fault:
        case Fault.FILTERED:
            filtered = FieldError(("body",), f"{vendor}'s content filter refused this: {text}", "content_filtered")
            return InvalidRequest([filtered], code="content_filtered")
        case Fault.TOO_LONG:
            code = CONTEXT_LENGTH_EXCEEDED
            return InvalidRequest([FieldError(("body",), f"{vendor}: {text}", code)], code=code)
        case Fault.REFUSED:
            loc = ("body",) if field is None else ("body", field)
            refused = FieldError(loc, f"{vendor} refused this: {text}", "refused_by_vendor")
            return InvalidRequest([refused], code="refused_by_vendor")
        case Fault.CREDENTIALS:
            message = f"{vendor} does not accept this server's credentials for it: {text}"
            return UpstreamError(message, code="vendor_credentials_invalid", hint=_CHECK_CREDENTIALS)
        case Fault.UNPAID:
            message = f"{vendor} wants to be paid first: {text}"
            return UpstreamError(message, code="vendor_unpaid", hint=_CHECK_BILL)
        case Fault.UNKNOWN_MODEL:
            return UpstreamError(f"{vendor}: {text}", code="vendor_model_unknown", hint=_CHECK_NAME)
        case Fault.RATE_LIMITED:
            return RateLimited(
                f"{vendor} limits the rate of calls: {text}", code="vendor_rate_limited", retry_after=again
            )
        case Fault.BUSY:
            return Unavailable(f"{vendor} cannot take the call now: {text}", code="vendor_busy", retry_after=again)
        case Fault.SLOW:
            return UpstreamTimeout(f"{vendor} gave up: {text}")
        case Fault.FAILED:
            return UpstreamError(f"{vendor} failed: {text}", code="vendor_failed")


def by_status(status: int) -> Fault:
    """What a status means where the vendor's words say nothing more precise."""
    return _BY_STATUS.get(status, Fault.REFUSED if status in (400, 413, 415, 422) else Fault.FAILED)


_BY_STATUS = {
    401: Fault.CREDENTIALS,
    402: Fault.UNPAID,
    403: Fault.CREDENTIALS,
    404: Fault.UNKNOWN_MODEL,
    408: Fault.SLOW,
    429: Fault.RATE_LIMITED,
    503: Fault.BUSY,
    504: Fault.SLOW,
    529: Fault.BUSY,  # Anthropic's
}
