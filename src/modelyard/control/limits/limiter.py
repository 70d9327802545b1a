"""Keeps calls to their limits, together with every other gateway: what a call may use is reserved in the store before
it is sent. Calls that nothing limits, which is most, never come here.

Reservations that are asked for at the same moment are made in one transaction, those of the highest priority first.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from modelyard.clock import Clock
from modelyard.control.following import follow
from modelyard.control.routes import Routes
from modelyard.control.telemetry import metrics
from modelyard.domain.limits import (
    MONEY,
    Admitted,
    Ask,
    Left,
    Limit,
    LimitTable,
    OnExceeded,
    OverLimit,
    Verdict,
    Want,
    asks,
    window_end,
)
from modelyard.domain.limits import shown as amount_shown
from modelyard.domain.usage import Reservation
from modelyard.errors import Conflict, Unavailable
from modelyard.settings import LimitSettings
from modelyard.store import Store

log = structlog.get_logger(__name__)

RETRY_SECONDS = 0.1
"""How often a call that waits asks again."""
HOUSEKEEPING_SECONDS = 3600.0
_CONCURRENT_RETRY_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class _Waiting:
    limits: Sequence[Limit]
    want: Want
    until: float
    """By the monotonic clock: when it waits no longer, where its limits let it wait at all."""
    granted: "asyncio.Future[Verdict]"

    @property
    def priority(self) -> int:
        return max(limit.priority for limit in self.limits)


class Limiter:
    """A `modelyard.gateway.ports.Admits`: `limits_of` is asked on the hot path, `admit` only where there are any."""

    def __init__(self, store: Store, routes: Routes, clock: Clock, settings: LimitSettings, gateway_id: str) -> None:
        self.gateway_id = gateway_id
        self._store = store
        self._routes = routes
        self._clock = clock
        self._settings = settings
        self._table = LimitTable()
        self._waiting: list[_Waiting] = []
        """Those that have just come."""
        self._queue: list[_Waiting] = []
        """Those that wait until there is enough left for them, in the order of coming within each priority."""
        self._abandoned: list[Ask] = []
        self._stir = asyncio.Event()

    def limits_of(self, account_id: str, key_id: str, identity_id: str, model_id: str) -> tuple[Limit, ...]:
        return self._table.of(account_id, key_id, identity_id, model_id)

    async def admit(self, limits: Sequence[Limit], want: Want, max_wait: float) -> Admitted:
        """Reserve ``want``, waiting at most ``max_wait`` seconds where the limits say so. Raises `OverLimit` naming
        the limit, its window and when to come back; `Conflict` (price_unknown) where money is limited and nobody knows
        what the call costs."""
        _check_price(limits, want)
        verdict = await self._decided(limits, want, self._clock.monotonic() + max_wait)
        if verdict is None:
            wanted = asks(limits, want, self._clock.now())
            return Admitted(tuple(map(_nothing_of, wanted)), (), self.gateway_id)
        if verdict.exceeded is not None:
            metrics.LIMITED.labels(verdict.exceeded.ask.kind.value).inc()
            raise _exceeded(verdict.exceeded, verdict.left, self._clock.now())
        return Admitted(tuple(left.ask.reservation for left in verdict.left), verdict.left, self.gateway_id)

    async def run(self) -> None:
        """Make reservations until cancelled."""
        while True:
            await self._something_to_do()
            self._stir.clear()
            # Those that wait are asked for together with whoever has just come: so nobody of a lower priority, and
            # nobody who came later, takes what they wait for.
            asking = [each for each in (*self._queue, *self._waiting) if not each.granted.done()]
            self._queue, self._waiting = [], []
            if asking:
                await self._decide(sorted(asking, key=lambda each: -each.priority))
            if self._abandoned:
                abandoned, self._abandoned = self._abandoned, []
                await self._give_back(abandoned)

    async def follow(self) -> None:
        """Keep to the limits as they change, until cancelled."""
        await follow(self._routes, self._clock, self.refresh)

    async def refresh(self) -> None:
        async with self._store.read() as tx:
            self._table = LimitTable(await tx.limits.all())

    async def housekeep(self) -> None:
        """Drop what lost gateways had reserved, and windows that are over, until cancelled."""
        while True:
            now = self._clock.now()
            try:
                async with self._store.begin() as tx:
                    await tx.limits.give_up_lost([self.gateway_id])
                    await tx.limits.forget_before(now - timedelta(days=1), now - timedelta(days=62))
            except Unavailable as error:
                log.debug("limits are not tidied: the store is away", error=str(error))
            await self._clock.sleep(HOUSEKEEPING_SECONDS)

    async def _something_to_do(self) -> None:
        if not self._queue:
            await self._stir.wait()
            return
        waits = [asyncio.ensure_future(each) for each in (self._stir.wait(), self._clock.sleep(RETRY_SECONDS))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _decided(self, limits: Sequence[Limit], want: Want, until: float) -> Verdict | None:
        """None where the store is away and calls are to go on."""
        granted: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(limits, want, until, granted))
        self._stir.set()
        try:
            return await granted
        except asyncio.CancelledError:
            if not granted.cancelled() and granted.exception() is None:
                self._abandon(granted.result())
            raise
        except Unavailable:
            if self._settings.when_database_is_away == "refuse":
                raise
            return None

    async def _decide(self, asking: Sequence[_Waiting]) -> None:
        now = self._clock.now()
        calls = [asks(each.limits, each.want, now) for each in asking]
        try:
            async with self._store.begin() as tx:
                verdicts = await tx.limits.reserve(calls, self.gateway_id)
        except Exception as error:
            if not isinstance(error, Unavailable):
                log.exception("limits could not be checked")
            told = error if isinstance(error, Unavailable) else Unavailable("Limits could not be checked.")
            for each in asking:
                if not each.granted.done():
                    each.granted.set_exception(told)
            return
        for each, verdict in zip(asking, verdicts, strict=True):
            if each.granted.done():
                self._abandon(verdict)
            elif verdict.exceeded is not None and self._may_wait(each, verdict.exceeded):
                self._queue.append(each)
            else:
                each.granted.set_result(verdict)

    def _may_wait(self, waiting: _Waiting, exceeded: Left) -> bool:
        waits = exceeded.ask.limit.on_exceeded is OnExceeded.QUEUE and _may_pass(exceeded)
        return waits and self._clock.monotonic() + RETRY_SECONDS <= waiting.until

    def _abandon(self, verdict: Verdict) -> None:
        """Whoever asked has left: what was reserved for it goes back."""
        if verdict.exceeded is None and verdict.left:
            self._abandoned += [left.ask for left in verdict.left]
            self._stir.set()

    async def _give_back(self, abandoned: Sequence[Ask]) -> None:
        """Their callers left while it was decided."""
        back: dict[tuple[str, str, datetime, str], int] = {}
        for ask in abandoned:
            key = (ask.limit.id, ask.kind.value, ask.window, self.gateway_id)
            back[key] = back.get(key, 0) + ask.amount
        try:
            async with self._store.begin() as tx:
                await tx.limits.give_back(back)
        except Unavailable as error:
            log.warning("what calls had reserved stays so until its window ends", error=str(error))


def _nothing_of(ask: Ask) -> Reservation:
    """What is used counts for this limit, but nothing is reserved."""
    return Reservation(ask.limit.id, ask.kind.value, ask.window, 0)


def _check_price(limits: Sequence[Limit], want: Want) -> None:
    if want.nano is None and any(MONEY & limit.bounds.keys() for limit in limits):
        raise Conflict(
            "This call has a budget to keep to, and nobody knows what the model costs.",
            code="price_unknown",
            hint="Set its price with MODELYARD_COST__PRICES.",
        )


def _may_pass(exceeded: Left) -> bool:
    """Whether waiting can help: a minute passes, and concurrent calls end; more than the bound itself never fits."""
    return exceeded.ask.kind not in MONEY and exceeded.ask.amount <= exceeded.ask.bound


def _exceeded(exceeded: Left, left: Sequence[Left], now: datetime) -> OverLimit:
    ask = exceeded.ask
    end = window_end(ask.kind, ask.window)
    told = (exceeded, *(each for each in left if each.ask.kind is not ask.kind))
    bound, rest, amount = (amount_shown(ask.kind, value) for value in (ask.bound, exceeded.amount, ask.amount))
    what = ask.kind.value.replace("_", " ")
    if ask.amount > ask.bound:
        return OverLimit(
            f"This call may use {amount}, and the limit '{ask.limit.name}' allows {bound} {what} in all.",
            told,
            code="limit_exceeded",
            retry_after=_seconds(end, now),
            hint="Ask for less, such as a smaller max_tokens.",
        )
    when = "when another call has ended" if end is None else f"at {end.isoformat().replace('+00:00', 'Z')}"
    words = (
        f"The limit '{ask.limit.name}' of {bound} {what} is reached: this call may use {amount}, and {rest} is left. "
        f"Come back {when}."
    )
    if ask.kind in MONEY:
        return OverLimit(words, told, code="budget_exceeded", retry_after=_seconds(end, now))
    return OverLimit(words, told, code="limit_exceeded", retry_after=_seconds(end, now))


def _seconds(end: datetime | None, now: datetime) -> float:
    return _CONCURRENT_RETRY_SECONDS if end is None else max(1.0, (end - now).total_seconds())
