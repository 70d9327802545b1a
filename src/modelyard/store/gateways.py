"""What gateway processes tell of themselves: one row each."""

from collections.abc import Iterable
from datetime import datetime

import msgspec
from sqlalchemy import delete, select

from modelyard.domain.load import GatewayReport
from modelyard.store.session import Session
from modelyard.store.tables import gateways as table


class Gateways:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def report(self, gateway_id: str, report: GatewayReport, now: datetime) -> None:
        """Take the place of what this gateway told before."""
        values = {"seen_at": now, "load": msgspec.to_builtins(report)}
        statement = self._session.inserting(table).values(id=gateway_id, **values)
        await self._session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))

    async def reports(self) -> dict[str, tuple[datetime, GatewayReport]]:
        """By gateway: when it told, by its own clock, and what."""
        found = await self._session.execute(select(table))
        return {row.id: (row.seen_at, msgspec.convert(row.load, GatewayReport)) for row in found}

    async def forget(self, gateway_ids: Iterable[str]) -> None:
        await self._session.execute(delete(table).where(table.c.id.in_(list(gateway_ids))))
