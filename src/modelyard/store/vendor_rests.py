"""Rests of vendors' keys that gateways tell each other of."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import delete, select, update

from modelyard.domain.vendor_rests import Rest, RestKey
from modelyard.store.session import Session
from modelyard.store.tables import counters
from modelyard.store.tables_of_vendors import RESTS_VERSION
from modelyard.store.tables_of_vendors import vendor_rests as table


class VendorRests:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def write(self, begun: Iterable[Rest], ended: Iterable[RestKey], forgotten: datetime) -> None:
        """Take the place of what was told of these keys before; of those that began before ``forgotten`` nothing is
        kept."""
        # In one order everywhere, so that no two writers wait for each other.
        for rest in sorted(begun, key=lambda rest: rest.key):
            values = asdict(rest)
            statement = self._session.inserting(table).values(**values)
            await self._session.execute(
                statement.on_conflict_do_update(index_elements=["key_id", "model"], set_=values)
            )
        for key_id, model in sorted(ended):
            await self._session.execute(delete(table).where(table.c.key_id == key_id, table.c.model == model))
        await self._session.execute(delete(table).where(table.c.began < forgotten))
        one_more = update(counters).where(counters.c.name == RESTS_VERSION).values(value=counters.c.value + 1)
        await self._session.execute(one_more)

    async def all(self) -> dict[RestKey, Rest]:
        rests = [Rest(*row) for row in await self._session.execute(select(table))]
        return {rest.key: rest for rest in rests}
