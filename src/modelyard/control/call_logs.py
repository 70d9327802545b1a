"""Reading the call log."""

from dataclasses import replace

from modelyard.clock import Clock
from modelyard.control.scope import Scope
from modelyard.domain.call_logs import LoggedCall
from modelyard.domain.usage import UsageRecord
from modelyard.errors import InvalidRequest
from modelyard.store import Page, Store
from modelyard.store.call_logs import CallQuery


class CallLogs:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def page(self, scope: Scope, query: CallQuery, account_id: str | None) -> Page[UsageRecord]:
        """The calls that the caller's accounts paid for, newest first; of one of them where it is named.
        `InvalidRequest` for a time that ends before it begins."""
        if query.since is not None and query.until is not None and query.since >= query.until:
            raise InvalidRequest.at("query", "end_date", msg="must be after start_date")
        accounts = tuple(each for each in scope.own_accounts if account_id in (None, each))
        if not accounts:
            return Page([], 0, query.page, query.limit)
        async with self._store.read() as tx:
            return await tx.call_logs.page(replace(query, accounts=accounts))

    async def get(self, scope: Scope, log_id: str) -> LoggedCall:
        async with self._store.read() as tx:
            return LoggedCall(await tx.call_logs.get(log_id, scope.own_accounts))
