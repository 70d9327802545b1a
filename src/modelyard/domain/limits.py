"""Limits: how much a key, an identity, an account or a model may use, and what a call asks of them.

A call reserves the most that it can use before it is sent, and what it really used takes the place of that afterwards.
So no number of calls at the same moment goes over a limit together.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from modelyard.domain.accounts import IdentityType
from modelyard.domain.prices import NANO
from modelyard.domain.usage import Reservation, UsageRecord
from modelyard.errors import RateLimited


class Subject(StrEnum):
    """Whose use is limited."""

    KEY = "key"
    IDENTITY = "identity"
    ACCOUNT = "account"
    MODEL = "model"


class Kind(StrEnum):
    """What is limited."""

    CALLS = "calls_per_minute"
    TOKENS = "tokens_per_minute"
    CONCURRENT = "concurrent_calls"
    DAY = "dollars_per_day"
    MONTH = "dollars_per_month"


MONEY = frozenset({Kind.DAY, Kind.MONTH})
"""Bounds and amounts of these are whole billionths of a dollar."""

MAX_PRIORITY = 100


class OnExceeded(StrEnum):
    REJECT = "reject"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class Limit:
    """What calls that one account pays for may use; its own fields besides those of every entity."""

    id: str
    account_id: str
    created_at: datetime
    created_by_user_id: str
    created_by_identity_type: IdentityType
    name: str
    subject: Subject
    subject_id: str
    """The id of the key, identity, account or model."""
    bounds: Mapping[Kind, int]
    on_exceeded: OnExceeded = OnExceeded.REJECT
    priority: int = 0
    """Among waiting calls those with the highest go first."""


@dataclass(frozen=True, slots=True)
class Want:
    """The most that a call can use."""

    tokens: int = 0
    nano: int | None = 0
    """Billionths of a dollar; None where nobody knows the price."""

    def of(self, kind: Kind) -> int | None:
        if kind is Kind.TOKENS:
            return self.tokens
        return self.nano if kind in MONEY else 1


@dataclass(frozen=True, slots=True)
class Ask:
    """One bound that a call has to keep to."""

    limit: Limit
    kind: Kind
    amount: int
    window: datetime
    """When the window began that it falls into; for concurrent calls always the same."""

    @property
    def bound(self) -> int:
        return self.limit.bounds[self.kind]

    @property
    def reservation(self) -> Reservation:
        return Reservation(self.limit.id, self.kind.value, self.window, self.amount)


@dataclass(frozen=True, slots=True)
class Left:
    """How much of a bound is left once a call has its share."""

    ask: Ask
    amount: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a call: ``exceeded`` names the bound that it would break; None: none, and its share is taken of
    all that is ``left``."""

    left: tuple[Left, ...] = ()
    exceeded: Left | None = None


class OverLimit(RateLimited):
    """A call that would break a bound: the first in ``left``, which tells what is left of other kinds of bounds too."""

    def __init__(
        self, message: str, left: Sequence[Left], *, code: str, retry_after: float, hint: str | None = None
    ) -> None:
        super().__init__(message, code=code, retry_after=retry_after, hint=hint)
        self.left = tuple(left)

    @property
    def never_fits(self) -> bool:
        """The call asks for more than the whole bound: no waiting helps."""
        ask = self.left[0].ask
        return ask.amount > ask.bound


@dataclass(frozen=True, slots=True)
class Admitted:
    """What a call has reserved, and what is left besides."""

    reserved: tuple[Reservation, ...] = ()
    left: tuple[Left, ...] = ()
    gateway_id: str = ""
    """Who reserved it."""
    most_response: int | None = None
    """What an answer is asked to have at most that the call itself does not bound: more is not reserved for it."""


NOTHING_LIMITS = Admitted()

_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)


def window_of(kind: Kind, now: datetime) -> datetime:
    """When the window began that ``now`` is in: calendar minutes, days and months, in UTC."""
    now = now.astimezone(UTC)
    match kind:
        case Kind.CONCURRENT:
            return _ALWAYS
        case Kind.DAY:
            return now.replace(hour=0, minute=0, second=0, microsecond=0)
        case Kind.MONTH:
            return now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        case _:
            return now.replace(second=0, microsecond=0)


def window_end(kind: Kind, start: datetime) -> datetime | None:
    """When it is over; None for concurrent calls, which have none."""
    match kind:
        case Kind.CONCURRENT:
            return None
        case Kind.DAY:
            return start + timedelta(days=1)
        case Kind.MONTH:
            return (start + timedelta(days=32)).replace(day=1)
        case _:
            return start + timedelta(minutes=1)


def asks(limits: Iterable[Limit], want: Want, now: datetime) -> list[Ask]:
    """Everything that a call which can use ``want`` has to keep to. What has no known price asks for no money: whoever
    calls sees to that."""
    return [
        Ask(limit, kind, amount, window_of(kind, now))
        for limit in limits
        for kind in limit.bounds
        if (amount := want.of(kind)) is not None
    ]


def decide(wanted: Sequence[Ask], used: Mapping[tuple[str, Kind], int]) -> Verdict:
    """All of it or nothing; ``used`` is what is spent and reserved of each limit's bounds."""
    # Of a bound that was lowered more may be used than it allows.
    before = tuple(Left(ask, max(0, ask.bound - used.get((ask.limit.id, ask.kind), 0))) for ask in wanted)
    exceeded = next((left for left in before if left.ask.amount > left.amount), None)
    if exceeded is not None:
        return Verdict(before, exceeded)
    return Verdict(tuple(Left(left.ask, left.amount - left.ask.amount) for left in before))


def spent(record: UsageRecord, kind: Kind) -> int:
    """What a call that is over counts for good."""
    match kind:
        case Kind.CALLS:
            return 1
        case Kind.TOKENS:
            return record.prompt_tokens + record.response_tokens
        case Kind.CONCURRENT:
            return 0
        case _:
            return record.cost_nano or 0


def shown(kind: Kind, amount: int) -> str:
    """An amount as people read it."""
    if kind in MONEY:
        return f"${amount / NANO:.6f}".rstrip("0").rstrip(".")
    return str(amount)


class LimitTable:
    """All limits, by whose calls they concern. Immutable."""

    __slots__ = ("_by_subject",)

    def __init__(self, limits: Iterable[Limit] = ()) -> None:
        self._by_subject: dict[tuple[str, Subject, str], tuple[Limit, ...]] = {}
        for limit in limits:
            key = (limit.account_id, limit.subject, limit.subject_id)
            self._by_subject[key] = (*self._by_subject.get(key, ()), limit)

    def of(self, account_id: str, key_id: str, identity_id: str, model_id: str) -> tuple[Limit, ...]:
        """Those that a call has to keep to."""
        if not self._by_subject:
            return ()
        subjects = (
            (Subject.KEY, key_id),
            (Subject.IDENTITY, identity_id),
            (Subject.ACCOUNT, account_id),
            (Subject.MODEL, model_id),
        )
        return tuple(limit for subject in subjects for limit in self._by_subject.get((account_id, *subject), ()))


@dataclass(frozen=True, slots=True)
class Settlement:
    """What takes the place of reservations, added up: by (limit id, kind, window)."""

    spent: Mapping[tuple[str, str, datetime], int] = field(default_factory=dict)
    released: Mapping[tuple[str, str, datetime, str], int] = field(default_factory=dict)
    """The same, and whose reservation it was: the gateway's id."""


def settlement(records: Iterable[UsageRecord]) -> Settlement:
    """What calls that are over give back, and what they spent."""
    used: dict[tuple[str, str, datetime], int] = {}
    released: dict[tuple[str, str, datetime, str], int] = {}
    for record in records:
        for each in record.reserved:
            key = (each.limit_id, each.kind, each.window)
            actual = spent(record, Kind(each.kind))
            if record.estimated and each.amount:
                # What nobody counted is not held to be more than the most that it can have been.
                actual = min(actual, each.amount)
            if actual:
                used[key] = used.get(key, 0) + actual
            if each.amount:
                released[(*key, record.gateway_id)] = released.get((*key, record.gateway_id), 0) + each.amount
    return Settlement(used, released)
