"""Leases: any number of controllers may run, one at a time works on a deployment.

A claim is one conditional UPDATE … RETURNING. It also moves ``due_at`` to the lease's end: a holder that dies
leaves the deployment due again, and a nudge that comes meanwhile is seen as a ``due_at`` before that end, so
that `apply` does not overwrite it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, case, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from modelyard.domain.deployments import Deployment, DeploymentStatus, Observed, Worker
from modelyard.store import rows, versions
from modelyard.store.tables import deployments as table
from modelyard.store.tables import workers


class Leases:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def claim_due(self, owner: str, now: datetime, lease_seconds: float, limit: int) -> list[Deployment]:
        """Take the lease of up to ``limit`` deployments that are due and that nobody holds, longest due first."""
        until = now + timedelta(seconds=lease_seconds)
        free = or_(table.c.lease_until.is_(None), table.c.lease_until < now)
        due = select(table.c.id).where(table.c.due_at <= now, free).order_by(table.c.due_at).limit(limit)
        if self._connection.dialect.name == "postgresql":
            due = due.with_for_update(skip_locked=True)
        statement = (
            update(table)
            .where(table.c.id.in_(due.scalar_subquery()), free)
            .values(lease_owner=owner, lease_until=until, due_at=until)
            .returning(table.c.id)
        )
        claimed = (await self._connection.execute(statement)).scalars().all()
        return await self._loaded(select(table).where(table.c.id.in_(claimed))) if claimed else []

    async def renew(self, deployment_id: str, owner: str, now: datetime, lease_seconds: float) -> bool:
        """Whether the lease still holds; then it does for ``lease_seconds`` more."""
        until = now + timedelta(seconds=lease_seconds)
        unless_nudged = case((table.c.due_at >= table.c.lease_until, until), else_=table.c.due_at)
        statement = update(table).where(*_held(deployment_id, owner)).values(lease_until=until, due_at=unless_nudged)
        return (await self._connection.execute(statement)).rowcount == 1

    async def write_workers(self, deployment_id: str, owner: str, intended: Sequence[Worker]) -> bool:
        """Write down the workers that are meant to be, before anything is done about them. False, and nothing
        written, where the lease is lost."""
        if not await self._holds(deployment_id, owner):
            return False
        await self._write_workers(deployment_id, intended)
        return True

    async def apply(
        self,
        deployment_id: str,
        owner: str,
        *,
        observed: Observed,
        workers: Sequence[Worker],
        status: DeploymentStatus,
        due_at: datetime,
        now: datetime,
    ) -> bool:
        """Write what a step found and give the lease back. False, and nothing written, where the lease is lost."""
        before = await self._callable(deployment_id)
        next_due = case((table.c.due_at >= table.c.lease_until, due_at), else_=table.c.due_at)
        statement = (
            update(table)
            .where(*_held(deployment_id, owner))
            .values(
                **rows.observed_values(observed),
                status=status.value,
                due_at=next_due,
                lease_owner=None,
                lease_until=None,
            )
        )
        if (await self._connection.execute(statement)).rowcount != 1:
            return False
        await self._write_workers(deployment_id, workers)
        if await self._callable(deployment_id) != before:
            await versions.bump_routes(self._connection)
        return True

    async def _holds(self, deployment_id: str, owner: str) -> bool:
        statement = select(table.c.id).where(*_held(deployment_id, owner))
        if self._connection.dialect.name == "postgresql":
            statement = statement.with_for_update()
        return (await self._connection.execute(statement)).one_or_none() is not None

    async def _write_workers(self, deployment_id: str, wanted: Sequence[Worker]) -> None:
        if (await self._workers([deployment_id])).get(deployment_id, ()) == _in_order(wanted):
            return
        await self._connection.execute(delete(workers).where(workers.c.deployment_id == deployment_id))
        if wanted:
            await self._connection.execute(insert(workers), [rows.worker_values(worker) for worker in wanted])

    async def _callable(self, deployment_id: str) -> object:
        """What a route is made of, as far as the reconciler writes it."""
        status = (
            await self._connection.execute(
                select(table.c.status, table.c.reason, table.c.observed_generation).where(table.c.id == deployment_id)
            )
        ).one_or_none()
        there = (await self._workers([deployment_id])).get(deployment_id, ())
        return status and tuple(status), [(w.id, w.revision, w.phase, w.address) for w in there]

    async def _loaded(self, statement: Select[Any]) -> list[Deployment]:
        found = (await self._connection.execute(statement)).all()
        workers_of = await self._workers([row.id for row in found])
        return [rows.deployment(row, workers_of.get(row.id, ())) for row in found]

    async def _workers(self, deployment_ids: Sequence[str]) -> dict[str, tuple[Worker, ...]]:
        if not deployment_ids:
            return {}
        statement = select(workers).where(workers.c.deployment_id.in_(deployment_ids))
        found: dict[str, list[Worker]] = {}
        for row in await self._connection.execute(statement):
            found.setdefault(row.deployment_id, []).append(rows.worker(row))
        return {deployment_id: _in_order(there) for deployment_id, there in found.items()}


def _held(deployment_id: str, owner: str) -> list[ColumnElement[bool]]:
    return [table.c.id == deployment_id, table.c.lease_owner == owner]


def _in_order(there: Sequence[Worker]) -> tuple[Worker, ...]:
    return tuple(sorted(there, key=lambda worker: (worker.created_at, worker.id)))
