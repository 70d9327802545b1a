"""How long each worker was there, from the moment it was written down until it was seen gone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, case, func, literal, or_, select, type_coerce, update

from modelyard.domain.deployments import Worker
from modelyard.domain.intervals import to_microseconds
from modelyard.store.session import Session
from modelyard.store.tables_of_usage import worker_spans as table


@dataclass(frozen=True, slots=True)
class Spent:
    """Time of one deployment's workers with so many GPUs each."""

    account_id: str
    deployment_id: str
    model_id: str
    gpus: int
    seconds: float


class WorkerTime:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def begin(self, worker: Worker, account_id: str, model_id: str, gpus: int) -> None:
        """Its time runs from when it was written down. Once is enough, and more is no harm."""
        statement = self._session.inserting(table).values(
            worker_id=worker.id,
            deployment_id=worker.deployment_id,
            account_id=account_id,
            model_id=model_id,
            gpus=gpus,
            started_at=worker.created_at,
        )
        await self._session.execute(statement.on_conflict_do_nothing())

    async def end(self, worker_ids: Iterable[str], now: datetime) -> None:
        """They are gone; one that was gone before stays so."""
        if ids := list(worker_ids):
            ended = update(table).where(table.c.worker_id.in_(ids), table.c.ended_at.is_(None))
            await self._session.execute(ended.values(ended_at=now))

    async def spent(self, start: datetime, end: datetime, now: datetime, accounts: Sequence[str] | None) -> list[Spent]:
        """What lies in ``[start, end)``, which for workers that are still there ends ``now``."""
        low, high = to_microseconds(start), min(to_microseconds(end), to_microseconds(now))
        began = type_coerce(table.c.started_at, BigInteger)
        ended = func.coalesce(type_coerce(table.c.ended_at, BigInteger), literal(high, BigInteger))
        first = case((began < low, low), else_=began)
        last = case((ended > high, high), else_=ended)
        keys = (table.c.account_id, table.c.deployment_id, table.c.model_id, table.c.gpus)
        conditions = [table.c.started_at < end, or_(table.c.ended_at.is_(None), table.c.ended_at > start)]
        if accounts is not None:
            conditions.append(table.c.account_id.in_(accounts))
        statement = select(*keys, func.sum(case((last > first, last - first), else_=0))).where(*conditions)
        found = await self._session.execute(statement.group_by(*keys).order_by(*keys))
        return [
            Spent(account, deployment, model, gpus, int(microseconds) / 1_000_000)
            for account, deployment, model, gpus, microseconds in found
        ]
