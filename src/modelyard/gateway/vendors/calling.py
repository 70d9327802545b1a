"""One request to a vendor: a key is chosen, the request encoded and signed for it, sent, and tried again where that is
safe: at most ``retries`` times, only before the first byte of an answer, and when the vendor says so."""

import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from modelyard.clock import Clock
from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID
from modelyard.domain.models import ModelVendor
from modelyard.domain.routes import Endpoint, Route
from modelyard.domain.vendors import VendorKey, VendorTarget
from modelyard.errors import ModelyardError, RateLimited, Unavailable, UpstreamError, UpstreamTimeout
from modelyard.gateway.adapters.faults import explanation
from modelyard.gateway.adapters.vendor_faults import Fault, vendor_error
from modelyard.gateway.adapters.wire import Adapter, Headers, WireRequest
from modelyard.gateway.addresses import PrivateAddress
from modelyard.gateway.metering import Call
from modelyard.gateway.ports import SharesRests, VendorCredentials
from modelyard.gateway.upstream import Answer, Lost, Patience, Upstream, Way
from modelyard.gateway.vendors.auth import Authenticator
from modelyard.gateway.vendors.rota import Rota
from modelyard.settings import VendorSettings, VendorsSettings

Prepare = Callable[[Endpoint, Route], WireRequest | Awaitable[WireRequest]]

PATIENT_SECONDS = 5.0
"""The longest pause before another try; who is told to wait longer is told so."""

_PAUSE_SECONDS = 0.25
_SECRET = 8
"""Characters of the shortest key that is held to be one."""
_LIMITED = (429,)
_PASSING = (408, 409, 500, 502, 503, 504, 529)
"""Answers that another try may not get."""


class _Failed(Exception):
    """A try that another may do better than."""

    def __init__(self, error: ModelyardError, *, limited: bool = False, retry_after: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.limited = limited
        self.retry_after = retry_after


class _NoCredentials:
    def keys(self, target: VendorTarget, account_id: str) -> Sequence[VendorKey]:
        raise UpstreamError(f"There are no credentials for {target.vendor}.", code="vendor_credentials_missing")


@dataclass(frozen=True, slots=True)
class VendorAccess:
    """What a gateway is given to call vendors with."""

    credentials: VendorCredentials
    settings: VendorsSettings
    fetch_images: bool = False
    """Whether images that callers name are fetched for vendors that fetch none."""
    rests: SharesRests | None = None
    """What tells other gateways of keys that rest; None: there are none."""


NO_VENDORS = VendorAccess(_NoCredentials(), VendorsSettings())
"""Of a gateway that knows none."""


class VendorCaller:
    def __init__(self, upstream: Upstream, clock: Clock, access: VendorAccess) -> None:
        settings = access.settings
        self._upstream = upstream
        self._credentials = access.credentials
        self._clock = clock
        self._retries = settings.retries
        self._patience = {
            (vendor, guarded): _patience(vendor, settings, guarded)
            for vendor in ModelVendor
            for guarded in (False, True)
        }
        self._rota = Rota(clock, access.rests)
        self._auth = Authenticator(clock)
        self._tries: dict[str, int] = {}

    def tallies(self) -> dict[str, tuple[int, int]]:
        """By vendor: further tries, and keys that were given a rest, so far."""
        rests = self._rota.rests
        return {vendor: (self._tries.get(vendor, 0), rests.get(vendor, 0)) for vendor in {*self._tries, *rests}}

    async def send(self, call: Call, route: Route, endpoint: Endpoint, prepare: Prepare, adapter: Adapter) -> Answer:
        """The vendor's answer, where it is a success; its caller reads it to the end or closes it."""
        target = route.vendor
        assert target is not None
        owner = call.account_id if route.account_id == PLATFORM_ACCOUNT_ID else route.account_id
        keys = self._credentials.keys(target, owner)
        for number in range(self._retries + 1):
            key = self._rota.next(keys, target, insist=number > 0)
            asked = self._clock.monotonic()
            try:
                answer = await self._try(call, _with_key(route, key), endpoint, prepare, adapter, key)
            except UpstreamTimeout:
                # It may still be at work, and would be paid twice.
                self._rota.failed(key, target, asked, limited=False)
                raise
            except _Failed as failed:
                self._rota.failed(key, target, asked, limited=failed.limited, retry_after=failed.retry_after)
                pause = 0.0 if self._rota.awake(keys, target) and len(keys) > 1 else _pause(failed, number)
                if number == self._retries or pause > PATIENT_SECONDS:
                    raise failed.error from failed
                self._tries[target.vendor.value] = self._tries.get(target.vendor.value, 0) + 1
                await self._clock.sleep(pause)
            else:
                self._rota.well(key, target, asked)
                return answer
        raise AssertionError("the last try returns or raises")

    async def _try(
        self, call: Call, route: Route, endpoint: Endpoint, prepare: Prepare, adapter: Adapter, key: VendorKey
    ) -> Answer:
        target = route.vendor
        assert target is not None
        wire = prepare(endpoint, route)
        if not isinstance(wire, WireRequest):
            wire = await wire
        headers = await self._auth.headers(key, target, wire)
        call.secrets = _secrets(key, headers)
        call.adjusted = wire.adjusted
        call.sent = True
        if call.trace is not None:
            headers = (*headers, *call.trace.headers)
        try:
            patience = self._patience[target.vendor, key.guarded]
            answer = await self._upstream.send(target.base_url, wire, patience, headers)
        except Lost as lost:
            error = _unreachable(target, lost)
            raise (error if isinstance(error, UpstreamError) and lost.unreachable else _Failed(error)) from lost
        if 200 <= answer.status < 300 and not answer.content_type.startswith("text/html"):
            return answer
        raise await _failure(answer, adapter, target, call.secrets)


async def _failure(answer: Answer, adapter: Adapter, target: VendorTarget, secrets: Iterable[str]) -> Exception:
    """What an answer that is no success means, and whether another try may do better."""
    status, retry_after = answer.status, _retry_after(answer)
    body = await answer.read_start()
    for secret in secrets:  # before a long body is cut short, which may go through the middle of one
        body = body.replace(secret.encode(), b"********")
    if 200 <= status < 300:
        return vendor_error(Fault.FAILED, target.vendor, f"it answered with {explanation(body)}")
    error = adapter.decode_error(status, body)
    if isinstance(error, RateLimited | Unavailable) and retry_after is not None:
        error.retry_after = retry_after
    # What is unpaid is a 429 of some vendors, and does not pass.
    passing = isinstance(error, RateLimited) if status in _LIMITED else status in _PASSING
    return _Failed(error, limited=status in _LIMITED, retry_after=retry_after) if passing else error


def _secrets(key: VendorKey, headers: Headers) -> tuple[str, ...]:
    """What a vendor may repeat in its words about a key, and whoever calls is not to read. The longest first: one may
    be a part of another. Short ones, as servers without keys get them, are no secrets."""
    sent = (value.removeprefix("Bearer ") for name, value in headers if name == "authorization")
    found = {*key.secrets.values(), *sent}
    return tuple(each for each in sorted(found, key=len, reverse=True) if len(each) >= _SECRET)


def _unreachable(target: VendorTarget, lost: Lost) -> ModelyardError:
    if not lost.unreachable:
        return vendor_error(Fault.FAILED, target.vendor, "it closed the connection without an answer")
    cause = lost.__cause__
    if isinstance(cause, PrivateAddress):
        return UpstreamError(
            f"{target.base_url} is not called: {cause}.",
            code="private_address",
            hint="MODELYARD_SECURITY__PRIVATE_ADDRESSES allows accounts to name such addresses.",
        )
    why = "no connection in time" if isinstance(cause, TimeoutError) else str(cause)
    return Unavailable(
        f"{target.vendor} cannot be reached at {target.base_url}: {why}.", code="vendor_unreachable", retry_after=5
    )


def _with_key(route: Route, key: VendorKey) -> Route:
    """``route`` as this key calls it: at its address, with its project or region where the model names none."""
    target = route.vendor
    assert target is not None
    parameters = {**key.parameters, **target.parameters}
    address = key.base_url
    for name, value in parameters.items():
        address = address.replace(f"{{{name}}}", str(value))
    return replace(route, vendor=replace(target, base_url=address, parameters=parameters))


def _pause(failed: _Failed, number: int) -> float:
    """Seconds until the next try: the vendor's word, or a little more each time."""
    if failed.retry_after is not None:
        return failed.retry_after
    return _PAUSE_SECONDS * 2.0**number * (0.5 + random.random())  # noqa: S311  # spreads tries, guards no secret


def _retry_after(answer: Answer) -> float | None:
    """Seconds, or a date, as in RFC 9110, 10.2.3; ``retry-after-ms`` is OpenAI's."""
    milliseconds = answer.header("retry-after-ms")
    text = answer.header("retry-after")
    try:
        if milliseconds:
            return max(0.0, float(milliseconds) / 1000)
        if text is None:
            return None
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _patience(vendor: ModelVendor, settings: VendorsSettings, guarded: bool) -> Patience:
    group = getattr(settings, vendor.value.lower(), None)
    group = group if isinstance(group, VendorSettings) else VendorSettings()
    way = Way.GUARDED if guarded else Way.OUTWARD
    return Patience(group.first_byte_seconds, group.total_seconds, vendor.value, way)
