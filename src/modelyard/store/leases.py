"""Leases: any number of controllers may run, one at a time works on a deployment.

A claim is one conditional UPDATE … RETURNING. It leaves ``due_at`` as it is, so that a deployment whose holder
dies is due again when the lease has run out; and it clears ``nudged``, so that `apply` can tell whether somebody
asked for another look since: it then stays due.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, case, delete, insert, literal, or_, select, update

from modelyard.domain.deployments import Deployment, DeploymentStatus, Observed, Worker
from modelyard.store import rows
from modelyard.store.columns import Name
from modelyard.store.session import Session
from modelyard.store.tables import deployments as table
from modelyard.store.tables import workers

_CHUNK = 1000


class Leases:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def claim_due(self, owner: str, now: datetime, lease_seconds: float, limit: int) -> list[Deployment]:
        """Take the lease of up to ``limit`` deployments that are due and that nobody holds, longest due first."""
        until = now + timedelta(seconds=lease_seconds)
        free = or_(table.c.lease_until.is_(None), table.c.lease_until < now)
        # SQLite, which has one writer at a time, leaves FOR UPDATE out.
        due = (
            select(table.c.id)
            .where(table.c.due_at <= now, free)
            .order_by(table.c.due_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        if self._session.on_postgresql:
            # Inlined, the limit would be counted anew for every row looked at.
            due = due.prefix_with("MATERIALIZED")
        statement = (
            update(table)
            .where(table.c.id.in_(select(due.c.id)))
            .values(lease_owner=owner, lease_until=until, nudged=False)
            .returning(table.c.id)
        )
        claimed = (await self._session.execute(statement)).scalars().all()
        if not claimed:
            return []
        return await self._loaded(select(table).where(table.c.id.in_(claimed)).order_by(table.c.due_at))

    async def renew(self, deployment_id: str, owner: str, now: datetime, lease_seconds: float) -> bool:
        """Whether the lease still holds; then it does for ``lease_seconds`` from now."""
        until = now + timedelta(seconds=lease_seconds)
        statement = update(table).where(*_held(deployment_id, owner, now)).values(lease_until=until)
        return (await self._session.execute(statement)).rowcount == 1

    async def write_workers(self, deployment_id: str, owner: str, intended: Sequence[Worker]) -> bool:
        """Write down the workers that are meant to be, before anything is done about them; the lease stays. False,
        and nothing written, where another has the lease."""
        statement = select(table.c.id).where(*_held(deployment_id, owner)).with_for_update()
        if await self._session.one(statement) is None:
            return False
        if await self._write_workers(deployment_id, intended):
            self._session.routes_changed()
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
        """Write what a step found and give the lease back. False, and nothing written, where the lease is lost.
        ``observed.demanded_at`` is not written: calls write it."""
        held = _held(deployment_id, owner, now)
        before = await self._session.one(
            select(table.c.status, table.c.reason, table.c.ready_revision).where(*held).with_for_update()
        )
        if before is None:
            return False
        statement = (
            update(table)
            .where(*held)
            .values(
                {
                    **rows.observed_values(observed),
                    # Whoever changed the target meanwhile may have asked for another try.
                    "failed_revision": case(
                        (table.c.generation == observed.generation, literal(observed.failed_revision, Name)),
                        else_=table.c.failed_revision,
                    ),
                    "status": status.value,
                    "due_at": case((table.c.nudged, table.c.due_at), else_=literal(due_at, table.c.due_at.type)),
                    "lease_owner": None,
                    "lease_until": None,
                }
            )
        )
        await self._session.execute(statement)
        moved = await self._write_workers(deployment_id, workers)
        if moved or tuple(before) != (status.value, observed.reason, observed.ready_revision):
            self._session.routes_changed()
        return True

    async def _write_workers(self, deployment_id: str, wanted: Sequence[Worker]) -> bool:
        """Whether this changes where calls can go; progress in words does not."""
        there = (await self._workers([deployment_id])).get(deployment_id, ())
        wanted = _in_order(wanted)
        if there == wanted:
            return False
        await self._session.execute(delete(workers).where(workers.c.deployment_id == deployment_id))
        if wanted:
            await self._session.execute(insert(workers), [rows.worker_values(worker) for worker in wanted])
        return [_callable(worker) for worker in there] != [_callable(worker) for worker in wanted]

    async def _loaded(self, statement: Select[Any]) -> list[Deployment]:
        return await self._with_workers(await self._session.entities(statement, table))

    async def _with_workers(self, found: Sequence[Row[Any]]) -> list[Deployment]:
        workers_of = await self._workers([row.id for row in found])
        return [rows.deployment(row, workers_of.get(row.id, ())) for row in found]

    async def _workers(self, deployment_ids: Sequence[str]) -> dict[str, tuple[Worker, ...]]:
        found: dict[str, list[Worker]] = {}
        for start in range(0, len(deployment_ids), _CHUNK):
            chunk = deployment_ids[start : start + _CHUNK]
            for row in await self._session.execute(select(workers).where(workers.c.deployment_id.in_(chunk))):
                found.setdefault(row.deployment_id, []).append(rows.worker(row))
        return {deployment_id: _in_order(there) for deployment_id, there in found.items()}


def _held(deployment_id: str, owner: str, now: datetime | None = None) -> list[ColumnElement[bool]]:
    held = [table.c.id == deployment_id, table.c.lease_owner == owner]
    return held if now is None else [*held, table.c.lease_until >= now]


def _in_order(there: Sequence[Worker]) -> tuple[Worker, ...]:
    return tuple(sorted(there, key=lambda worker: (worker.created_at, worker.id)))


def _callable(worker: Worker) -> tuple[object, ...]:
    return worker.id, worker.revision, worker.phase, worker.address
