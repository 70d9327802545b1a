"""What the database refuses, in the words of the error tree."""

import contextlib
import time
from collections.abc import Iterator

import structlog
from sqlalchemy import exc

from modelyard.errors import Conflict, InvalidRequest, ModelyardError, Unavailable

log = structlog.get_logger(__name__)

_UNREPRESENTABLE = ("invalid byte sequence", "unsupported unicode", "null character", "embedded null", "surrogates")
_OUT_OF_RANGE = ("out of range", "too large to convert", "value too long", "integer overflow")
_QUIET_SECONDS = 10.0
_told: dict[str, float] = {}
_CONNECTION_STATES = ("08", "28", "3D", "53", "57", "58")
"""PostgreSQL's classes of errors: connection, authorisation, no such database, resources, intervention, system."""
_BUSY = ("deadlock", "could not serialize", "database is locked", "lock timeout")


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Put this around what talks to the database, and around nothing else.

    Raises `Unavailable` where the database cannot be used now, `InvalidRequest` for values it cannot hold,
    `Conflict` where something else refers to what would go, or what is referred to is gone.
    """
    try:
        yield
    except ModelyardError:
        raise
    except exc.DBAPIError as error:
        raise fault(error) from error
    except exc.StatementError as error:
        # A value that could not even be sent; anything else is a mistake in the store itself.
        if isinstance(error.orig, UnicodeError | OverflowError | RecursionError):
            raise _unstorable() from error
        raise
    except (UnicodeError, OverflowError, RecursionError) as error:
        raise _unstorable() from error
    except (OSError, TimeoutError, exc.TimeoutError) as error:
        raise unavailable(error) from error


def unavailable(cause: BaseException) -> Unavailable:
    """``cause`` is for the log: a client learns only that the database is away."""
    _tell(cause_of(cause))
    return Unavailable(
        "The database cannot be used right now.", code="database_unavailable", retry_after=2.0, hint="Try again soon."
    )


def _tell(cause: str) -> None:
    # Every call says so while the database is away; the log needs it once in a while.
    now = time.monotonic()
    if now - _told.get(cause, -_QUIET_SECONDS) >= _QUIET_SECONDS:
        _told.clear()
        _told[cause] = now
        log.warning("store.unavailable", cause=cause)


def cause_of(error: BaseException) -> str:
    """The driver's own words, without the statement that failed."""
    orig = getattr(error, "orig", None) or error
    lines = str(orig).strip().splitlines()
    return lines[0] if lines else type(orig).__name__


def fault(error: exc.DBAPIError) -> ModelyardError | exc.DBAPIError:
    """What a driver's error means; the error itself where it can only be a mistake in the store."""
    text = str(error.orig).lower()
    if any(words in text for words in _UNREPRESENTABLE + _OUT_OF_RANGE):
        return _unstorable()
    if isinstance(error, exc.IntegrityError):
        return _broken_reference(error) if "foreign key" in text else error
    if any(words in text for words in _BUSY):
        return Unavailable("The database is busy.", code="database_busy", retry_after=1.0, hint="Try again.")
    if error.connection_invalidated or isinstance(error, exc.OperationalError | exc.InterfaceError | exc.InternalError):
        return unavailable(error)
    if _is_about_the_connection(error):
        return unavailable(error)
    return error


def is_duplicate(error: exc.IntegrityError) -> bool:
    """Whether a row with this key or name is there already."""
    text = str(error.orig).lower()
    return "unique" in text or "duplicate" in text


def _unstorable() -> InvalidRequest:
    return InvalidRequest.at(
        "body",
        msg="a value cannot be stored: text with NUL or lone surrogates, or a number beyond 64 bits",
        code="value_not_storable",
    )


def _broken_reference(error: exc.IntegrityError) -> Conflict:
    if (error.statement or "").lstrip().upper().startswith("DELETE"):
        return Conflict("Something refers to this.", code="in_use", hint="Delete that first.")
    return Conflict("Something this refers to is no longer there.", code="reference_gone")


def _is_about_the_connection(error: exc.DBAPIError) -> bool:
    # Drivers wrap what the network says, sometimes twice.
    cause: BaseException | None = error.orig
    while cause is not None:
        if isinstance(cause, OSError) or str(getattr(cause, "sqlstate", None))[:2] in _CONNECTION_STATES:
            return True
        cause = cause.__cause__
    return False
