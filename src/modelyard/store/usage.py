"""Usage: each record is written once, whoever writes it how often, and added up in the same transaction."""

from collections.abc import Sequence
from datetime import datetime

from modelyard.domain.limits import settlement
from modelyard.domain.rollups import rolled_up
from modelyard.domain.usage import UsageRecord
from modelyard.store import usage_reports, usage_rollups, usage_rows, usage_sums
from modelyard.store.limits import Limits
from modelyard.store.session import Session


class Usage:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, records: Sequence[UsageRecord]) -> None:
        """Write records, and add them to their minutes, hours and days; one that was written before is left as it is
        and adds nothing."""
        new = await usage_rows.insert(self._session, records) if records else []
        if not new:
            return
        await usage_rollups.add(self._session, rolled_up(new))
        if any(record.reserved for record in new):
            await Limits(self._session).settle(settlement(new))

    async def sums(
        self,
        starts: Sequence[datetime],
        end: datetime,
        *,
        deployment_id: str | None = None,
        model_name: str | None = None,
        model_group_id: str | None = None,
        accounts: Sequence[str] | None = None,
    ) -> list[tuple[int, int, int]]:
        """``(slice index, prompt tokens, response tokens)`` for every slice with tokens in it. Slice i is
        ``[starts[i], starts[i + 1])``, the last one ends before ``end``; ``starts`` must be in order."""
        which = usage_sums.Which(deployment_id, model_name, model_group_id, accounts)
        return await usage_sums.sums(self._session, [*starts, end], which)

    async def is_known(self, model_name: str, accounts: Sequence[str]) -> bool:
        """Whether one of these ever called a model of this name."""
        return await usage_sums.is_known(self._session, model_name, accounts)

    async def report(self, start: datetime, end: datetime, query: usage_reports.Query) -> list[usage_reports.Row]:
        """See `modelyard.store.usage_reports.report`."""
        return await usage_reports.report(self._session, start, end, query)

    async def span(self) -> tuple[datetime, datetime] | None:
        """See `modelyard.store.usage_reports.span`."""
        return await usage_reports.span(self._session)
