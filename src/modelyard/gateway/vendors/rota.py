"""Which of a vendor's keys is next: they take turns, and one that is limited or fails rests for a while.

A rest begins with 5 s and doubles with every failure in a row; a vendor's own word on when to come back makes it
longer. A limit counts at once, other failures from the third in a row on: one bad answer says little about the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from modelyard.clock import Clock
from modelyard.domain.vendors import VendorKey
from modelyard.errors import ModelyardError, RateLimited, Unavailable

REST_SECONDS = 5.0
MOST_REST_SECONDS = 300.0
FORGIVEN = 2
"""So many failures in a row that are no limit lead to no rest."""

_MAX_KNOWN = 10_000


@dataclass(slots=True)
class _State:
    turn: int = 0
    failures: int = 0
    rests: int = 0
    until: float = 0.0
    limited: bool = False


class Rota:
    """What is known of keys, by their ids. For one process: others learn for themselves."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._turn = 0
        self._states: dict[str, _State] = {}
        self.rests: dict[str, int] = {}
        """By vendor: rests that keys were given."""

    def next(self, keys: Sequence[VendorKey], *, insist: bool = False) -> VendorKey:
        """The key whose turn it is among those that do not rest. ``insist``: where all rest, the one whose rest ends
        first. Otherwise raises `RateLimited` or `Unavailable` with the time until then."""
        now = self._clock.monotonic()
        awake = [key for key in keys if self._state(key).until <= now]
        if awake:
            chosen = min(awake, key=lambda key: self._state(key).turn)
        else:
            chosen = min(keys, key=lambda key: self._state(key).until)
            if not insist:
                raise _resting(chosen, self._state(chosen), now)
        self._turn += 1
        self._state(chosen).turn = self._turn
        return chosen

    def awake(self, keys: Sequence[VendorKey]) -> bool:
        """Whether any of ``keys`` does not rest."""
        now = self._clock.monotonic()
        return any(self._state(key).until <= now for key in keys)

    def well(self, key: VendorKey) -> None:
        """The vendor answered."""
        state = self._states.get(key.id)
        if state is not None and (state.failures or state.until):
            self._states[key.id] = _State(turn=state.turn)

    def failed(self, key: VendorKey, *, limited: bool, retry_after: float | None = None) -> None:
        """The vendor did not: because of a limit, or for another reason that another try may not meet."""
        state = self._state(key)
        state.failures += 1
        if not limited and state.failures <= FORGIVEN and retry_after is None:
            return
        rest = min(MOST_REST_SECONDS, REST_SECONDS * 2.0**state.rests)
        state.rests = min(state.rests + 1, 60)
        state.limited = limited
        vendor = str(key.vendor)
        self.rests[vendor] = self.rests.get(vendor, 0) + 1
        state.until = self._clock.monotonic() + min(MOST_REST_SECONDS, max(rest, retry_after or 0.0))

    def _state(self, key: VendorKey) -> _State:
        state = self._states.get(key.id)
        if state is None:
            if len(self._states) >= _MAX_KNOWN:  # accounts' keys come and go
                self._states.clear()
            state = self._states[key.id] = _State()
        return state


def _resting(key: VendorKey, state: _State, now: float) -> ModelyardError:
    seconds = state.until - now
    if state.limited:
        return RateLimited(
            f"{key.vendor} limits the rate of calls, and was asked not long ago.",
            code="vendor_rate_limited",
            retry_after=seconds,
        )
    return Unavailable(
        f"{key.vendor} failed several times in a row, and is left alone for a moment.",
        code="vendor_resting",
        retry_after=seconds,
    )
