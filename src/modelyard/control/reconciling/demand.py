"""Deployments that calls want a worker of, until the store is told: of each at most once a second."""

from collections.abc import Iterable

from modelyard.clock import Clock

_SECONDS = 1.0


class Demand:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._noted: dict[str, float] = {}
        self.untold: set[str] = set()
        """Asked for, and nobody has told the store yet."""

    def note(self, deployment_id: str) -> bool:
        """Whether this is news."""
        now = self._clock.monotonic()
        if now - self._noted.get(deployment_id, -_SECONDS) < _SECONDS:
            return False
        self._noted[deployment_id] = now
        self.untold.add(deployment_id)
        return True

    def take(self) -> set[str]:
        """What is to be told now; whoever cannot gives it `back`."""
        taken, self.untold = self.untold, set()
        return taken

    def back(self, deployment_ids: Iterable[str]) -> None:
        self.untold.update(deployment_ids)
