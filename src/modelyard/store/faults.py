"""What the database refuses, in the words of the error tree."""

import contextlib
import time
from collections.abc import Iterator

import structlog
from sqlalchemy import exc

from modelyard.errors import Conflict, InvalidRequest, ModelyardError, Unavailable

log = structlog.get_logger(__name__)

_QUIET_SECONDS = 10.0
_told: dict[str, float] = {}

_UNSENDABLE = (UnicodeError, OverflowError, RecursionError)

# PostgreSQL's errors by the class of their SQLSTATE, since their words depend on the server's language ...
_VALUES = ("22",)
_BUSY = ("40", "55")
_AWAY = ("08", "28", "3D", "53", "57", "58")
"""Connection, authorisation, no such database, resources, an operator, the system."""
# ... and what has none, by its words.
_VALUE_WORDS = ("invalid input for query argument", "too large to convert", "surrogates not allowed")
_BUSY_WORDS = ("database is locked", "database table is locked")


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
        if isinstance(error.orig, _UNSENDABLE):
            raise _unstorable() from error
        raise
    except _UNSENDABLE as error:
        raise _unstorable() from error
    except (OSError, TimeoutError, exc.TimeoutError, exc.PendingRollbackError) as error:
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
    text, state = str(error.orig).lower(), _sqlstate(error)
    if state.startswith(_VALUES) or any(words in text for words in _VALUE_WORDS):
        return _unstorable()
    if state == "23503" or "foreign key constraint failed" in text:
        return _broken_reference(error)
    if state.startswith(_BUSY) or any(words in text for words in _BUSY_WORDS):
        return Unavailable("The database is busy.", code="database_busy", retry_after=1.0, hint="Try again.")
    if error.connection_invalidated or state.startswith(_AWAY) or _is_about_the_connection(error):
        return unavailable(error)
    return error


def is_duplicate(error: exc.IntegrityError) -> bool:
    """Whether a row with this key or name is there already."""
    return _sqlstate(error) == "23505" or "unique constraint failed" in str(error.orig).lower()


def _unstorable() -> InvalidRequest:
    return InvalidRequest.at(
        "body",
        msg="a value cannot be stored: text with NUL or lone surrogates, or a number beyond 64 bits",
        code="value_not_storable",
    )


def _broken_reference(error: exc.DBAPIError) -> Conflict:
    if (error.statement or "").lstrip().upper().startswith("DELETE"):
        return Conflict("Something refers to this.", code="in_use", hint="Delete that first.")
    return Conflict("Something this refers to is no longer there.", code="reference_gone")


def _sqlstate(error: exc.DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def _is_about_the_connection(error: exc.DBAPIError) -> bool:
    if type(error) in (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.DatabaseError):
        return True
    # Drivers wrap what the network says, sometimes twice.
    cause: BaseException | None = error.orig
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__
    return cause is not None
