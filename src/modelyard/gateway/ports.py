"""The gateway's only view of the rest: small ports, inwards and outwards. `main` plugs them together."""

from collections.abc import Sequence
from typing import Protocol

from modelyard.domain.accounts import Caller
from modelyard.domain.call_logs import CallLogSettings, Captured
from modelyard.domain.limits import Admitted, Limit, Want
from modelyard.domain.routes import RouteTable
from modelyard.domain.usage import UsageRecord
from modelyard.domain.vendor_rests import HearsOfRests, Rest, RestKey
from modelyard.domain.vendors import VendorKey, VendorTarget


class RouteSource(Protocol):
    def snapshot(self) -> RouteTable:
        """The current table: a plain read, no waiting."""
        ...

    async def changed(self) -> None:
        """Return at the next change after this call (callers look again at `snapshot`)."""
        ...

    async def refresh(self) -> None:
        """See to it that `snapshot` is not older than this call; raises `Unavailable` where that cannot be."""
        ...

    async def undeployed(self, accounts: Sequence[str], model: str) -> str | None:
        """The id of a model of that name or id in ``accounts``, for those that no route leads to; None where there is
        none, or where that cannot be told now."""
        ...


class KeyVerifier(Protocol):
    async def verify(self, key: str) -> Caller:
        """The caller behind a key; raises `Unauthenticated`. Cached: most calls do no I/O."""
        ...


class VendorCredentials(Protocol):
    def keys(self, target: VendorTarget, account_id: str) -> Sequence[VendorKey]:
        """What ``account_id`` may call ``target`` with, at least one; raises `UpstreamError` saying what is missing.
        A plain read, no waiting."""
        ...


class SharesRests(Protocol):
    """What tells gateways of each other's rests; nothing of it blocks or raises."""

    def tell(self, rota: HearsOfRests) -> None:
        """This one hears of other gateways' from now on."""
        ...

    def began(self, rest: Rest) -> None: ...

    def ended(self, key: RestKey) -> None: ...


class UsageSink(Protocol):
    def record(self, record: UsageRecord) -> None:
        """Take one record; never blocks, never raises."""
        ...


class Admits(Protocol):
    """What keeps calls to their limits."""

    def limits_of(self, account_id: str, key_id: str, identity_id: str, model_id: str) -> tuple[Limit, ...]:
        """The limits that such a call has to keep to: a plain look-up, no waiting."""
        ...

    async def admit(self, limits: Sequence[Limit], want: Want, max_wait: float) -> Admitted:
        """Reserve what a call may use; raises `RateLimited` where that is too much."""
        ...


class KeepsCalls(Protocol):
    """What keeps the content of calls, for accounts that want it."""

    def wanted(self, account_id: str) -> CallLogSettings | None:
        """What the account wants to be kept; None: nothing. A plain look-up, no waiting."""
        ...

    def keep(self, captured: Captured) -> None:
        """Take one call; never blocks, never raises."""
        ...


class Waker(Protocol):
    def wake(self, deployment_id: str) -> None:
        """Say that a call wants a worker of this deployment; a hint, cheap to repeat."""
        ...
