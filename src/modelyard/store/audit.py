"""The audit log, as far as it can be touched at all: entries are made by `modelyard.store.trail` alone, read here, and
end only by the retention setting."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, select

from modelyard.domain.audit import Actor, AuditEntry
from modelyard.domain.intervals import to_microseconds
from modelyard.store.paging import Page, PageQuery, SortKeys, page_of_rows
from modelyard.store.session import Session
from modelyard.store.tables import AUDIT_KEPT_FROM, audit_log, counters

SORT_FIELDS: SortKeys = {"id": audit_log.c.id, "created_at": audit_log.c.at}


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which entries; None: any. ``since`` is included, ``until`` is not. Equalities stand in ``page.where``, by
    column."""

    page: PageQuery
    since: datetime | None = None
    until: datetime | None = None


class AuditLog:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def entries(self, query: AuditQuery) -> Page[AuditEntry]:
        """Newest first, by the order in which they were written: clocks may be set back. ``query.page.accounts`` as
        everywhere; None includes what concerns the installation alone."""
        accounts: Sequence[str] | None = query.page.accounts
        statement = select(audit_log).where(*(audit_log.c[name] == value for name, value in query.page.where.items()))
        if accounts is not None:
            statement = statement.where(audit_log.c.account_id.in_(accounts))
        if query.since is not None:
            statement = statement.where(audit_log.c.at >= query.since)
        if query.until is not None:
            statement = statement.where(audit_log.c.at < query.until)
        last = audit_log.c.id
        found, total = await page_of_rows(
            self._session, statement, SORT_FIELDS, last, query.page, unsorted=("id", True)
        )
        return Page([_entry(row) for row in found], total, query.page.page, query.page.limit)

    async def forget_before(self, moment: datetime) -> int:
        """How many entries were older and are gone. The database ends none unless it is told first until when, so that
        nothing but this does."""
        kept_from = {"name": AUDIT_KEPT_FROM, "value": to_microseconds(moment)}
        told = self._session.inserting(counters).values(**kept_from)
        told = told.on_conflict_do_update(index_elements=["name"], set_={"value": kept_from["value"]})
        await self._session.execute(told)
        return int((await self._session.execute(delete(audit_log).where(audit_log.c.at < moment))).rowcount)


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at=row.at,
        actor=Actor(row.actor_id, row.actor_type, row.key_id, row.request_id),
        account_id=row.account_id,
        action=row.action,
        entity_type=row.entity_type,
        entity_id=row.entity_id,
        before=row.before,
        after=row.after,
    )
