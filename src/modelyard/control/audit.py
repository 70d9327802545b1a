"""Reading the audit log, and ending what is older than it is kept."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import structlog

from modelyard.clock import Clock
from modelyard.control.scope import Scope, require_scope, unknown_account
from modelyard.domain.accounts import Right
from modelyard.domain.audit import AuditEntry
from modelyard.domain.rights import roles_with
from modelyard.errors import Forbidden, InvalidRequest
from modelyard.store import Page, Store
from modelyard.store.audit import AuditQuery

log = structlog.get_logger(__name__)

SWEEP_SECONDS = 3600.0


class AuditLog:
    def __init__(self, store: Store, clock: Clock, retention_days: int | None) -> None:
        """``retention_days``: entries that are older end; None: none ever does."""
        self._store = store
        self._clock = clock
        self._retention = None if retention_days is None else timedelta(days=retention_days)

    async def page(self, scope: Scope, query: AuditQuery, account_id: str | None) -> Page[AuditEntry]:
        """The entries of the accounts that the caller governs; of all, and of the installation itself, for
        administrators of it. `InvalidRequest` for a time that ends before it begins."""
        if query.since is not None and query.until is not None and query.since >= query.until:
            raise InvalidRequest.at("query", "end_date", msg="must be after start_date")
        accounts = self._accounts(scope, account_id)
        async with self._store.read() as tx:
            return await tx.audit.entries(replace(query, page=replace(query.page, accounts=accounts)))

    def _accounts(self, scope: Scope, wanted: str | None) -> tuple[str, ...] | None:
        caller = scope.caller
        require_scope(caller, Right.AUDIT)
        wanted = wanted or scope.selected
        if wanted is not None:
            if wanted not in caller.roles and not caller.is_administrator:
                raise unknown_account(wanted)
            if scope.selected not in (None, wanted):
                raise unknown_account(wanted)
            if not caller.administers(wanted, Right.AUDIT):
                scope.require(Right.AUDIT, wanted)
            return (wanted,)
        if caller.is_administrator:
            return None
        governed = tuple(each for each in caller.roles if caller.can(Right.AUDIT, each))
        if not governed:
            roles = ", ".join(roles_with(Right.AUDIT))
            raise Forbidden(f"The audit log is for the role {roles}.", code="role_too_low")
        return governed

    async def sweep(self) -> None:
        """End what is older than it is kept."""
        if self._retention is None:
            return
        before = self._clock.now() - self._retention
        async with self._store.begin() as tx:
            count = await tx.audit.forget_before(before)
        if count:
            log.info("audit entries ended", count=count, older_than=before.isoformat())

    async def run(self) -> None:
        while True:
            try:
                await self.sweep()
            except Exception:
                log.exception("ending old audit entries failed")
            await asyncio.sleep(SWEEP_SECONDS)
