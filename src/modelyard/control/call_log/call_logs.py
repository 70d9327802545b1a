"""Reading the call log, and saying what is kept in it."""

from dataclasses import replace

from modelyard.clock import Clock
from modelyard.control.call_log.redaction import check
from modelyard.control.scope import Scope, unknown_account
from modelyard.domain.accounts import Right
from modelyard.domain.call_logs import CallLogSettings, LoggedCall
from modelyard.domain.deployments import Deployment
from modelyard.domain.usage import UsageRecord
from modelyard.errors import Conflict, InvalidRequest
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
        """A call; with its content where that was kept, for those who govern the account and whoever made the call."""
        async with self._store.read() as tx:
            record = await tx.call_logs.get(log_id, scope.own_accounts)
            if not _may_read(scope, record):
                return LoggedCall(record)
            return LoggedCall(record, await tx.call_bodies.get(record.id, record.account_id))

    async def to_replay(self, scope: Scope, log_id: str, deployment_id: str) -> tuple[LoggedCall, Deployment]:
        """A call whose content was kept whole, and a deployment that it can be sent to. `Conflict` where there is
        nothing to send, `Forbidden` where the caller may not see it."""
        async with self._store.read() as tx:
            record = await tx.call_logs.get(log_id, scope.own_accounts)
            if not _may_read(scope, record):
                scope.require(Right.AUDIT, record.account_id)
            content = await tx.call_bodies.get(record.id, record.account_id)
            if content is None:
                raise Conflict(
                    "What this call asked was not kept.",
                    code="call_not_kept",
                    hint="PUT /v4/accounts/{account_id}/call-log-settings says which bodies are kept from now on.",
                )
            if content.request.truncated:
                msg = "What this call asked was longer than what is kept of a body, so it cannot be asked again."
                raise Conflict(msg, code="call_truncated", hint="Raise max_body_bytes for calls to come.")
            return LoggedCall(record, content), await tx.deployments.get(deployment_id, scope.readable)

    async def settings(self, scope: Scope, account_id: str) -> CallLogSettings:
        _check_account(scope, account_id)
        async with self._store.read() as tx:
            return await tx.call_bodies.settings(account_id)

    async def set_settings(self, scope: Scope, settings: CallLogSettings) -> CallLogSettings:
        """What is kept of calls from now on; in force within a second or two. For those who govern the account."""
        _check_account(scope, settings.account_id)
        scope.require(Right.AUDIT, settings.account_id)
        check(settings.redact)
        async with self._store.begin() as tx:
            await tx.call_bodies.set(settings)
        return settings


def _may_read(scope: Scope, record: UsageRecord) -> bool:
    caller = scope.caller
    return record.identity_id == caller.identity_id or caller.can(Right.AUDIT, record.account_id)


def _check_account(scope: Scope, account_id: str) -> None:
    if account_id not in scope.own_accounts:
        raise unknown_account(account_id)
