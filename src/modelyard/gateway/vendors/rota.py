"""Which of a vendor's keys is next: they take turns, and one that is limited or fails rests for a while.

A rest begins with 5 s and doubles with every failure that follows it; a vendor's own word on when to come back makes it
longer. A limit counts at once, other failures from the third in a row on: one bad answer says little about the next.
Where the vendor limits each model, a key rests for the model that was called, and goes on with the others. What was
asked before a rest began says nothing about it, however it ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from modelyard.clock import Clock
from modelyard.domain.vendor_rests import MOST_REST_SECONDS, Rest, RestKey
from modelyard.domain.vendors import LIMITS_MODELS, VendorKey, VendorTarget
from modelyard.errors import ModelyardError, RateLimited, Unavailable
from modelyard.gateway.ports import SharesRests

REST_SECONDS = 5.0
FORGIVEN = 2
"""So many failures in a row that are no limit lead to no rest."""

_MAX_KNOWN = 10_000


@dataclass(slots=True)
class _State:
    turn: int = 0
    failures: int = 0
    rests: int = 0
    began: float = float("-inf")
    until: float = 0.0
    limited: bool = False


class Rota:
    """What is known of keys, by their ids and models: what this gateway finds out, and what others told it."""

    def __init__(self, clock: Clock, shares: SharesRests | None = None) -> None:
        """``shares``: who tells other gateways; None: there are none."""
        self._clock = clock
        self._turn = 0
        self._states: dict[RestKey, _State] = {}
        self._shares = shares
        if shares is not None:
            shares.tell(self)
        self.rests: dict[str, int] = {}
        """By vendor: rests that keys were given here."""

    def next(self, keys: Sequence[VendorKey], target: VendorTarget, *, insist: bool = False) -> VendorKey:
        """The key whose turn it is among those that do not rest. ``insist``: where all rest, the one whose rest ends
        first. Otherwise raises `RateLimited` or `Unavailable` with the time until then."""
        now = self._clock.monotonic()
        states = [(self._state(_key(key, target)), key) for key in keys]
        awake = [pair for pair in states if pair[0].until <= now]
        if awake:
            state, chosen = min(awake, key=lambda pair: pair[0].turn)
        else:
            state, chosen = min(states, key=lambda pair: pair[0].until)
            if not insist:
                raise _resting(chosen, state, now)
        self._turn += 1
        state.turn = self._turn
        return chosen

    def awake(self, keys: Sequence[VendorKey], target: VendorTarget) -> bool:
        """Whether any of ``keys`` does not rest."""
        now = self._clock.monotonic()
        return any(self._state(_key(key, target)).until <= now for key in keys)

    def well(self, key: VendorKey, target: VendorTarget, asked: float) -> None:
        """The vendor answered what it was ``asked`` then (monotonic seconds)."""
        name = _key(key, target)
        state = self._states.get(name)
        if state is None or not (state.failures or state.rests) or asked < state.began:
            return
        self._states[name] = _State(turn=state.turn)
        if state.rests and self._shares is not None:
            self._shares.ended(name)

    def failed(
        self, key: VendorKey, target: VendorTarget, asked: float, *, limited: bool, retry_after: float | None = None
    ) -> None:
        """The vendor did not: because of a limit, or for another reason that another try may not meet."""
        state = self._state(_key(key, target))
        if asked < state.began:
            return
        state.failures += 1
        if not limited and state.failures <= FORGIVEN and retry_after is None:
            return
        rest = min(MOST_REST_SECONDS, max(REST_SECONDS * 2.0**state.rests, retry_after or 0.0))
        state.rests = min(state.rests + 1, 60)
        state.limited = limited
        vendor = str(key.vendor)
        self.rests[vendor] = self.rests.get(vendor, 0) + 1
        state.began = self._clock.monotonic()
        state.until = state.began + rest
        if self._shares is not None:
            self._shares.began(Rest(*_key(key, target), self._clock.now(), rest, state.rests, limited))

    def rests_elsewhere(self, rest: Rest, seconds: float) -> None:
        """Another gateway gave it a rest, of which ``seconds`` are left."""
        state = self._state(rest.key)
        state.rests = max(state.rests, rest.number)
        state.began = self._clock.monotonic()
        if state.began + seconds > state.until:
            state.until, state.limited = state.began + seconds, rest.limited

    def well_elsewhere(self, name: RestKey) -> None:
        """Another gateway got an answer."""
        if (state := self._states.get(name)) is not None:
            self._states[name] = _State(turn=state.turn)

    def _state(self, name: RestKey) -> _State:
        state = self._states.get(name)
        if state is None:
            if len(self._states) >= _MAX_KNOWN:  # accounts' keys come and go
                self._states.clear()
            state = self._states[name] = _State()
        return state


def _key(key: VendorKey, target: VendorTarget) -> RestKey:
    return key.id, target.model if key.vendor in LIMITS_MODELS else ""


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
