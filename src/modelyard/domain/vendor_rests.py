"""Rests of vendors' keys, as gateways tell each other of them: what one has found out, the others need not."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

MOST_REST_SECONDS = 300.0

RestKey = tuple[str, str]
"""A key's id, and the vendor's name of the model that it rests for; empty: for all of them."""


@dataclass(frozen=True, slots=True)
class Rest:
    key_id: str
    model: str
    began: datetime
    """By the clock of whoever found it out, which may be wrong."""
    seconds: float
    number: int
    """How many there were in a row, this one included: each is longer than the last."""
    limited: bool
    """Because of a limit; otherwise because of failures."""

    @property
    def key(self) -> RestKey:
        return self.key_id, self.model

    def left(self, now: datetime) -> float:
        """Seconds until its end for whoever did not see it begin: never more than it was given, whatever clocks say."""
        passed = (now - self.began).total_seconds()
        return min(max(0.0, self.seconds - passed), self.seconds, MOST_REST_SECONDS)


class HearsOfRests(Protocol):
    """Whoever chooses among vendors' keys."""

    def rests_elsewhere(self, rest: Rest, seconds: float) -> None:
        """Another gateway gave a key a rest, of which ``seconds`` are left."""

    def well_elsewhere(self, name: RestKey) -> None:
        """Another gateway got an answer with a key that had a rest."""
