"""What can go wrong, as one tree.

::

    ModelyardError                 code               what a client sees (http/errors.py maps it)
    ├── MalformedRequest           malformed_request  400  bytes that are not the format they claim
    ├── InvalidRequest             invalid_request    422  well-formed, but wrong; names the fields
    ├── Unauthenticated            unauthenticated    401  no key, or an unknown one
    ├── Forbidden                  forbidden          403  known key, not this right
    ├── NotFound                   not_found          404  unknown or not visible; never tells which
    ├── MethodNotAllowed           method_not_allowed 405  a known path, but not this method
    ├── Conflict                   conflict           409  would break a promise made to somebody else
    ├── TooLarge                   too_large          413  body over the bound
    ├── RateLimited                rate_limited       429  over a limit; says when to come back
    ├── Unavailable                unavailable        503  no capacity now; says when to come back
    ├── UpstreamError              upstream_error     502  a worker or vendor broke its protocol or died
    ├── UpstreamTimeout            upstream_timeout   504  a worker or vendor was too slow
    ├── WeightsError               weights_error      weights missing, truncated or not what they claim
    ├── LaunchError                launch_error       a worker could not be started at all
    ├── EngineError                engine_error       an engine could not load or compute
    └── ConfigurationError         configuration      settings that contradict each other

Every error has a stable ``code`` (a class may be raised with a more precise one), a sentence for
people, and where there is one a ``hint``: what to do about it. No error knows HTTP.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field: ``loc`` is the path to it, as in ("body", "name")."""

    loc: tuple[str | int, ...]
    msg: str
    type: str = "value_error"


def _hidden(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "********")
    return text


class ModelyardError(Exception):
    """The root. ``code`` is stable and snake_case; ``hint`` is the remedy."""

    code: str = "internal_error"

    def __init__(self, message: str, *, code: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message

    def hide(self, secrets: Iterable[str]) -> None:
        """Take out of what it says what nobody is to read; it may repeat somebody else's words."""
        self.message = _hidden(self.message, secrets)


class MalformedRequest(ModelyardError):
    code = "malformed_request"


class InvalidRequest(ModelyardError):
    """Well-formed but wrong. Carries every field at fault, not only the first."""

    code = "invalid_request"

    def __init__(self, errors: Iterable[FieldError], *, code: str | None = None) -> None:
        self.errors = tuple(errors)
        text = "; ".join(f"{'.'.join(map(str, e.loc))}: {e.msg}" for e in self.errors)
        super().__init__(text, code=code)

    def hide(self, secrets: Iterable[str]) -> None:
        secrets = tuple(secrets)
        super().hide(secrets)
        self.errors = tuple(replace(each, msg=_hidden(each.msg, secrets)) for each in self.errors)

    @classmethod
    def at(cls, *loc: str | int, msg: str, type: str = "value_error", code: str | None = None) -> "InvalidRequest":
        """The common case: one field."""
        return cls([FieldError(loc, msg, type)], code=code)


class Unauthenticated(ModelyardError):
    code = "unauthenticated"


class Forbidden(ModelyardError):
    code = "forbidden"


class NotFound(ModelyardError):
    code = "not_found"


class MethodNotAllowed(ModelyardError):
    code = "method_not_allowed"

    def __init__(self, method: str, allowed: Iterable[str]) -> None:
        self.allowed = tuple(sorted(allowed))
        super().__init__(f"{method} is not possible here; {', '.join(self.allowed)} is.")


class Conflict(ModelyardError):
    code = "conflict"


class TooLarge(ModelyardError):
    code = "too_large"


class _ComeBack(ModelyardError):
    def __init__(
        self, message: str, *, retry_after: float = 1.0, code: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.retry_after = retry_after
        """Seconds until another try makes sense."""


class RateLimited(_ComeBack):
    code = "rate_limited"


class Unavailable(_ComeBack):
    code = "unavailable"


class UpstreamError(ModelyardError):
    code = "upstream_error"


class UpstreamTimeout(ModelyardError):
    code = "upstream_timeout"


class WeightsError(ModelyardError):
    code = "weights_error"


class LaunchError(ModelyardError):
    code = "launch_error"


class EngineError(ModelyardError):
    code = "engine_error"


class ConfigurationError(ModelyardError):
    code = "configuration"
