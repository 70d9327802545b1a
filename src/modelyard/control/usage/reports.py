"""Usage in any cut: by whom, of what, over time, and what it cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal

from modelyard.clock import Clock
from modelyard.control.scope import Scope
from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID
from modelyard.domain.calendars import Slices, edges, moment, slices
from modelyard.domain.intervals import EPOCH, HOUR
from modelyard.domain.prices import dollars
from modelyard.domain.rollups import SUMS, percentile
from modelyard.errors import InvalidRequest
from modelyard.settings import CostSettings
from modelyard.store import Store, Transaction
from modelyard.store.paging import PageQuery
from modelyard.store.usage_reports import Query, Row
from modelyard.store.worker_time import Spent

MAX_ROWS = 10_000
_HOUR = timedelta(hours=1)
_PERCENTILES = (0.5, 0.95, 0.99)
_LAST = datetime(9999, 12, 30, tzinfo=UTC)
"""Clocks everywhere can show it."""
_OF_WORKERS = ("account_id", "deployment_id", "model_id", "model_name", "vendor")
"""What workers' time can be asked for by; of one caller, verb or outcome there is none: it is nobody's call."""


@dataclass(frozen=True, slots=True)
class Line:
    """Usage of one group, in one slice of time."""

    at: datetime | None
    group: Mapping[str, str]
    sums: Mapping[str, int]
    """`modelyard.domain.rollups.SUMS`, and ``errors``."""
    cost: Decimal
    """US dollars of all calls whose price is known; ``unpriced`` says how many others there are."""
    seconds: tuple[float | None, float | None, float | None]
    """Within which half, 95 and 99 of 100 calls were whole."""


@dataclass(frozen=True, slots=True)
class WorkerCost:
    spent: Spent
    cost: Decimal | None
    """US dollars; None where no rate is set."""


@dataclass(frozen=True, slots=True)
class Report:
    start: datetime
    end: datetime
    """Whole hours: what was asked for, rounded outwards."""
    lines: Sequence[Line]
    total: Line
    workers: Sequence[WorkerCost]
    truncated: bool
    """Whether there are more lines than were asked for."""


class Reports:
    def __init__(self, store: Store, clock: Clock, settings: CostSettings) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings

    async def usage(
        self,
        scope: Scope,
        start: datetime,
        end: datetime,
        *,
        group_by: Sequence[str],
        interval: str | None,
        where: Mapping[str, str],
        limit: int,
        zone: tzinfo = UTC,
    ) -> Report:
        """What the caller's accounts used; ``group_by`` and ``where`` name `modelyard.domain.rollups.DIMENSIONS`.
        ``interval`` is one of `modelyard.domain.calendars.slices`, by the clocks in ``zone``."""
        start, end = _whole_hours(start, min(end, _LAST))
        async with self._store.read() as tx:
            cut = None if interval is None else await _cut(tx, interval, zone, start, end)
            rows = await tx.usage.report(start, end, Query(group_by, cut, where, scope.own_accounts, limit + 1))
            totals = await tx.usage.report(start, end, Query(where=where, accounts=scope.own_accounts))
            spent = await self._spent(tx, scope, start, end, where)
        return Report(
            start.astimezone(zone),
            end.astimezone(zone),
            [_line(row, group_by, _begin(cut, row, zone)) for row in rows[:limit]],
            _line(totals[0] if totals else _NOTHING, ()),
            [WorkerCost(each, self._cost(each)) for each in spent],
            truncated=len(rows) > limit,
        )

    async def _spent(
        self, tx: Transaction, scope: Scope, start: datetime, end: datetime, where: Mapping[str, str]
    ) -> list[Spent]:
        if where.get("vendor") or not set(where) <= set(_OF_WORKERS):
            return []
        accounts = scope.own_accounts
        if scope.caller.is_administrator and scope.selected is None:
            # Workers of built-in models are nobody's but the installation's.
            accounts = (*accounts, PLATFORM_ACCOUNT_ID)
        spent = await tx.worker_time.spent(start, end, self._clock.now(), accounts)
        if (name := where.get("model_name")) is not None:
            query = PageQuery(accounts, limit=MAX_ROWS, sort=(), where={"name": name})
            named = {model.id for model in (await tx.models.page(query)).items}
            spent = [each for each in spent if each.model_id in named]
        return [each for each in spent if _matches(each, where)]

    def _cost(self, spent: Spent) -> Decimal | None:
        worker, gpu = self._settings.worker_hour, self._settings.gpu_hour
        if worker is None and (gpu is None or not spent.gpus):
            return None
        rate = (worker or Decimal(0)) + spent.gpus * (gpu or Decimal(0))
        milliseconds = round(spent.seconds * 1000)
        return (rate * milliseconds / 3_600_000).quantize(Decimal("0.000000001"))


_NOTHING = Row(None, (), (0,) * len(SUMS), (), 0)


def _whole_hours(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    if end <= start:
        raise InvalidRequest.at("query", "end_date", msg="must be after start_date")
    if start < EPOCH:
        raise InvalidRequest.at("query", "start_date", msg="must not be before 1970")
    last = _hour_of(end)
    return _hour_of(start), last if last == end else last + _HOUR


def _hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


async def _cut(tx: Transaction, interval: str, zone: tzinfo, start: datetime, end: datetime) -> Slices:
    """How time is told apart, as far as there was a call: some ask for all time."""
    first, last = await tx.usage.span() or (start, start)
    cut = slices(interval, zone, max(start, first), min(end, last + _HOUR))
    if any(edge % HOUR for edge in edges(cut)):
        msg = f"has clocks that are no whole hours ahead of UTC; usage is told by those, so take a {interval} in UTC"
        raise InvalidRequest.at("query", "timezone", msg=msg)
    return cut


def _begin(cut: Slices | None, row: Row, zone: tzinfo) -> datetime | None:
    return None if cut is None or row.at is None else moment(cut, row.at, zone)


def _matches(spent: Spent, where: Mapping[str, str]) -> bool:
    known = {"account_id": spent.account_id, "deployment_id": spent.deployment_id, "model_id": spent.model_id}
    return all(where.get(name, value) == value for name, value in known.items())


def _line(row: Row, group_by: Sequence[str], at: datetime | None = None) -> Line:
    sums = {**dict(zip(SUMS, row.sums, strict=True)), "errors": row.errors}
    first, second, third = (percentile(row.classes, share) for share in _PERCENTILES)
    return Line(
        at, dict(zip(group_by, row.group, strict=True)), sums, dollars(sums["cost_nano"]), (first, second, third)
    )
