"""What the database refuses, in the words of the error tree."""

import contextlib
from collections.abc import Iterator

from sqlalchemy import exc

from modelyard.errors import InvalidRequest, ModelyardError, Unavailable

_UNREPRESENTABLE = ("invalid byte sequence", "unsupported Unicode", "null character", "embedded null", "surrogates")


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Raise `Unavailable` where the database cannot be used now, `InvalidRequest` for text it cannot hold."""
    try:
        yield
    except ModelyardError:
        raise
    except exc.DBAPIError as error:
        raise _fault(error) from error
    except (OSError, TimeoutError, exc.TimeoutError) as error:
        raise unavailable(error) from error
    except UnicodeError as error:
        raise unrepresentable() from error


def unavailable(cause: BaseException) -> Unavailable:
    """``cause`` is for the log; a client learns only that the database is away."""
    return Unavailable(
        "The database cannot be used right now.", code="database_unavailable", retry_after=2.0, hint="Try again soon."
    )


def unrepresentable() -> InvalidRequest:
    return InvalidRequest.at("body", msg="a text holds characters that cannot be stored (NUL or lone surrogates)")


def _fault(error: exc.DBAPIError) -> Exception:
    text = str(error.orig)
    if any(words in text for words in _UNREPRESENTABLE):
        return unrepresentable()
    if error.connection_invalidated or isinstance(error, exc.OperationalError | exc.InterfaceError | exc.InternalError):
        return unavailable(error)
    if any(isinstance(cause, OSError) for cause in (error.orig, getattr(error.orig, "__cause__", None))):
        return unavailable(error)
    return error
