"""Deployments with their workers and events. Who may write what:

- the API: `add`, `set_target` (what the owner asked for), `nudge`;
- the gateway's wake-up: `demand`;
- the holder of the lease (leases.py): everything observed, and the workers.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, insert, select, update

from modelyard.domain.deployments import Deployment, Event, Worker
from modelyard.domain.lifecycle import status_of
from modelyard.store import leases, rows
from modelyard.store.paging import Page, PageQuery, SortKeys, page_of
from modelyard.store.session import not_found
from modelyard.store.tables import ROUTES_VERSION, counters, events, workers
from modelyard.store.tables import deployments as table

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

    async def add(self, deployment: Deployment) -> None:
        """Without workers; it is due at once."""
        status, _ = status_of(deployment, deployment.created_at)
        values = rows.deployment_values(deployment, status)
        await self._session.insert(table, values, taken(deployment))
        self._session.routes_changed()

    async def get(self, deployment_id: str, accounts: Sequence[str] | None) -> Deployment:
        """`NotFound` (deployment_not_found) where it is unknown, or in none of ``accounts`` (None: in any)."""
        statement = select(table).where(table.c.id == deployment_id)
        if accounts is not None:
            statement = statement.where(table.c.account_id.in_(accounts))
        found = await self._loaded(statement)
        if not found:
            raise not_found(table, deployment_id)
        return found[0]

    async def hold(self, deployment_id: str) -> None:
        """Until the transaction ends nobody else holds it or changes what is asked of it."""
        # On SQLite a transaction that writes is alone anyway, and these words are left out.
        await self._session.execute(select(table.c.id).where(table.c.id == deployment_id).with_for_update())

    async def page(self, query: PageQuery) -> Page[Deployment]:
        found, total = await page_of(self._session, table, SORT_FIELDS, query)
        return Page(await self._with_workers(found), total, query.page, query.limit)

    async def of_model(self, model_id: str) -> list[Deployment]:
        return (await self.of_models([model_id])).get(model_id, [])

    async def of_models(self, model_ids: Sequence[str]) -> dict[str, list[Deployment]]:
        """The deployments of each model, newest first; models without any are left out."""
        statement = select(table).where(table.c.model_id.in_(model_ids))
        found: dict[str, list[Deployment]] = {}
        for deployment in await self._loaded(statement.order_by(table.c.created_at.desc(), table.c.id.desc())):
            found.setdefault(deployment.model_id, []).append(deployment)
        return found

    async def of_ids(self, deployment_ids: Sequence[str]) -> list[Deployment]:
        """Those of them that are there."""
        return await self._loaded(select(table).where(table.c.id.in_(deployment_ids)))

    async def models_of(self, deployment_ids: Sequence[str]) -> dict[str, str]:
        """The id of the model that each of these deployments is of; those that are gone are left out."""
        statement = select(table.c.id, table.c.model_id).where(table.c.id.in_(deployment_ids))
        return {row.id: row.model_id for row in await self._session.execute(statement)}

    async def all_live(self) -> list[Deployment]:
        """Every deployment that nobody asked to delete."""
        return await self._loaded(select(table).where(table.c.deleted.is_(False)))

    async def set_target(self, deployment: Deployment, *, retry: bool = False) -> None:
        """Write what the owner decides (name, metadata, configuration, parameters, target), due at once, also where a
        step is under way. ``retry``: forget that its revision was given up. `Conflict`: name_taken, or
        changed_meanwhile (as `Session.replace` says)."""
        status, _ = status_of(deployment, deployment.created_at)
        values = {**rows.asked_values(deployment), "status": status.value, "due_at": deployment.created_at}
        if retry:
            values |= {"failed_revision": None, "note": None}
        await self._session.replace(table, deployment.id, {**values, "nudged": True}, taken(deployment))
        self._session.routes_changed()

    async def nudge(self, deployment_id: str, now: datetime) -> None:
        """Make it due now; a step under way does not swallow this."""
        await self._make_due(deployment_id, now)

    async def demand(self, deployment_id: str, now: datetime) -> None:
        """Write down that a call wants a worker, and make it due now."""
        await self._make_due(deployment_id, now, demanded_at=now)

    async def remove(self, deployment_id: str) -> None:
        """The deployment and its workers; its events stay."""
        await self._session.execute(delete(table).where(table.c.id == deployment_id))
        self._session.routes_changed()

    async def routes_version(self) -> int:
        """A number that changes whenever what can be called, or where, may have changed."""
        statement = select(counters.c.value).where(counters.c.name == ROUTES_VERSION)
        return int((await self._session.execute(statement)).scalar_one())

    async def add_event(self, event: Event) -> None:
        values = {name: getattr(event, name) for name in ("deployment_id", "at", "kind", "message")}
        await self._session.execute(insert(events).values(**values))

    async def events(self, deployment_id: str, limit: int = 100) -> list[Event]:
        """The last ``limit`` events, newest first."""
        statement = (
            select(events)
            .where(events.c.deployment_id == deployment_id)
            .order_by(events.c.at.desc(), events.c.id.desc())
            .limit(limit)
        )
        return [rows.event(row) for row in await self._session.execute(statement)]

    async def worker(self, worker_id: str) -> Worker | None:
        row = await self._session.one(select(workers).where(workers.c.id == worker_id))
        return None if row is None else rows.worker(row)

    async def _make_due(self, deployment_id: str, now: datetime, **more: datetime) -> None:
        statement = update(table).where(table.c.id == deployment_id)
        await self._session.execute(statement.values(due_at=now, nudged=True, **more))
