"""Deployments with their workers and events. Who may write what:

- the API: `add`, `set_target` (what the owner asked for), `nudge`;
- the gateway's wake-up: `demand`;
- the holder of the lease (leases.py): everything observed, and the workers.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, insert, select, update

from modelyard.domain.deployments import Deployment, DeploymentStatus, Event, Worker
from modelyard.errors import NotFound
from modelyard.store import leases, rows, versions, writing
from modelyard.store.paging import Page, PageQuery, SortKeys, page_of
from modelyard.store.tables import deployments as table
from modelyard.store.tables import events, workers

SORT_FIELDS: SortKeys = {
    **{
        name: table.c[name]
        for name in (
            "id",
            "name",
            "created_at",
            "account_id",
            "created_by_user_id",
            "created_by_identity_type",
            "model_creation_parameters",
            "vendor_configuration",
            "deployment_metadata",
            "status",
        )
    },
    "model_instance_id": table.c.model_id,
    "model_endpoint_id": table.c.id,
}


def taken(deployment: Deployment) -> str:
    return f"The model has a deployment called '{deployment.name}' already."


class Deployments(leases.Leases):
    """All that is done with deployments in one transaction."""

    async def add(self, deployment: Deployment, status: DeploymentStatus = DeploymentStatus.UPDATE_PENDING) -> None:
        values = rows.deployment_values(deployment, status)
        await writing.insert_named(self._connection, table, values, taken(deployment))
        await versions.bump_routes(self._connection)

    async def get(self, deployment_id: str, accounts: Sequence[str] | None) -> Deployment:
        """`NotFound` (deployment_not_found) where it is unknown, or in none of ``accounts`` (None: in any)."""
        statement = select(table).where(table.c.id == deployment_id)
        if accounts is not None:
            statement = statement.where(table.c.account_id.in_(accounts))
        found = await self._loaded(statement)
        if not found:
            raise NotFound(f"There is no deployment '{deployment_id}'.", code="deployment_not_found")
        return found[0]

    async def page(self, query: PageQuery) -> Page[Deployment]:
        found, total = await page_of(self._connection, table, SORT_FIELDS, query)
        workers_of = await self._workers([row.id for row in found])
        items = [rows.deployment(row, workers_of.get(row.id, ())) for row in found]
        return Page(items, total, query.page, query.limit)

    async def of_model(self, model_id: str) -> list[Deployment]:
        return (await self.of_models([model_id])).get(model_id, [])

    async def of_models(self, model_ids: Sequence[str]) -> dict[str, list[Deployment]]:
        """The deployments of each model, newest first; models without any are left out."""
        statement = select(table).where(table.c.model_id.in_(model_ids))
        found: dict[str, list[Deployment]] = {}
        for deployment in await self._loaded(statement.order_by(table.c.created_at.desc(), table.c.id.desc())):
            found.setdefault(deployment.model_id, []).append(deployment)
        return found

    async def all_live(self) -> list[Deployment]:
        """Every deployment that nobody asked to delete."""
        return await self._loaded(select(table).where(table.c.deleted.is_(False)))

    async def set_target(self, deployment: Deployment) -> None:
        """Write what the owner decides (name, metadata, configuration, parameters, target), due at once."""
        statement = (
            update(table)
            .where(table.c.id == deployment.id)
            .values(**rows.asked_values(deployment), due_at=deployment.created_at)
        )
        await writing.execute_named(self._connection, statement, taken(deployment))
        await versions.bump_routes(self._connection)

    async def nudge(self, deployment_id: str, now: datetime) -> None:
        """Make it due now; a step under way does not swallow this."""
        await self._connection.execute(update(table).where(table.c.id == deployment_id).values(due_at=now))

    async def demand(self, deployment_id: str, now: datetime) -> None:
        """Write down that a call wants a worker, and make it due now."""
        await self._connection.execute(
            update(table).where(table.c.id == deployment_id).values(demanded_at=now, due_at=now)
        )

    async def remove(self, deployment_id: str) -> None:
        """The deployment and its workers; its events stay."""
        await self._connection.execute(delete(workers).where(workers.c.deployment_id == deployment_id))
        await self._connection.execute(delete(table).where(table.c.id == deployment_id))
        await versions.bump_routes(self._connection)

    async def routes_version(self) -> int:
        """Changes whenever what can be called, or where, may have changed."""
        return await versions.routes_version(self._connection)

    async def add_event(self, event: Event) -> None:
        values = {name: getattr(event, name) for name in ("deployment_id", "at", "kind", "message")}
        await self._connection.execute(insert(events).values(**values))

    async def events(self, deployment_id: str, limit: int = 100) -> list[Event]:
        """The last ``limit`` events, newest first."""
        statement = (
            select(events)
            .where(events.c.deployment_id == deployment_id)
            .order_by(events.c.at.desc(), events.c.id.desc())
            .limit(limit)
        )
        return [rows.event(row) for row in await self._connection.execute(statement)]

    async def worker(self, worker_id: str) -> Worker | None:
        row = (await self._connection.execute(select(workers).where(workers.c.id == worker_id))).one_or_none()
        return None if row is None else rows.worker(row)
