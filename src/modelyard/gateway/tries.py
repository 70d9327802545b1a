"""Whether a call that failed before the first byte of its answer is tried again, and where: decisions only."""

from enum import Enum, auto

from modelyard.domain.routes import Route
from modelyard.errors import ModelyardError

NOTICED_SECONDS = 10.0
"""Within which it is noticed that a worker cannot be reached, whether it died or only stopped listening."""

_LOOK_SECONDS = 1.0
_DYING_SECONDS = 0.1
"""A process that is killed closes its connections one by one, and what it listens on last: who came back at once would
be cut off a second time."""


class Remedy(Enum):
    """Who may do better at the next try, where no other worker is left."""

    SAME = auto()  # the connection was cut: it may have been an old one, so the same worker is asked once more
    OTHERS = auto()  # it said that it is busy; nobody else is there
    REPLACEMENT = auto()  # it is not there any more, and its replacement is on its way


class Failed(Exception):
    """A try that another one may do better; ``error`` is what the caller learns if there is none."""

    def __init__(self, error: ModelyardError, remedy: Remedy) -> None:
        super().__init__(str(error))
        self.error = error
        self.remedy = remedy


class Tries:
    """What one call has tried. A worker that was not even reached has begun nothing, so it uses up no try: its
    replacement is waited for."""

    __slots__ = ("_left", "_notice_seconds", "_until", "excluded")

    def __init__(self, retries: int, notice_seconds: float) -> None:
        """``retries``: further tries in all; 0 means that nothing is tried again."""
        self._left = retries
        self._notice_seconds = notice_seconds if retries else 0.0
        self._until: float | None = None
        self.excluded: frozenset[str] = frozenset()
        """Workers not to be asked at the next try."""

    def after(self, failed: Failed, worker_id: str, route: Route, now: float) -> float:
        """How many seconds to wait for another route table before the next try. ``route`` is as it is ``now``
        (monotonic seconds). Raises ``failed.error`` where no further try makes sense."""
        reached = failed.remedy is not Remedy.REPLACEMENT
        if reached:
            if self._left <= 0:
                raise failed.error
            self._left -= 1
        self.excluded |= {worker_id}
        if any(endpoint.worker_id not in self.excluded for endpoint in route.endpoints) or not route.endpoints:
            return 0.0
        if failed.remedy is Remedy.OTHERS:
            raise failed.error
        self.excluded = frozenset()
        if reached:
            self._left = 0
            return _DYING_SECONDS
        self._until = self._until if self._until is not None else now + self._notice_seconds
        if now >= self._until:
            raise failed.error
        return min(_LOOK_SECONDS, self._until - now)
