"""Waiting for deployments that are READY but idle to have a worker, before calls are sent to them."""

from collections.abc import Callable, Sequence

from modelyard.clock import Clock
from modelyard.domain.deployments import Deployment, DeploymentStatus, Phase
from modelyard.domain.lifecycle import status_of
from modelyard.errors import Conflict
from modelyard.store import Store, Transaction

_LOOK_SECONDS = 0.1


async def wait_until_warm(
    store: Store, clock: Clock, nudge: Callable[[str], None], deployment_ids: Sequence[str], seconds: float
) -> None:
    """Ask for a worker of each that has none, and wait for it; raises `Conflict` where that takes longer. One that
    fails meanwhile, or is not there, is left to whoever checks it."""
    until = clock.monotonic() + seconds
    async with store.begin() as tx:
        cold = await cold_ones(tx, clock, deployment_ids)
        await demand(tx, clock, cold)
    for deployment in cold:
        nudge(deployment.id)
    while cold:
        if clock.monotonic() >= until:
            names = ", ".join(f"'{each.name}' ({each.id})" for each in cold)
            raise Conflict(
                f"No worker was ready within {seconds:g} s, of {names}; nothing was changed.", code="backend_not_ready"
            )
        await clock.sleep(_LOOK_SECONDS)
        async with store.read() as tx:
            cold = await cold_ones(tx, clock, deployment_ids)


async def cold_ones(tx: Transaction, clock: Clock, deployment_ids: Sequence[str]) -> list[Deployment]:
    """Those of them that would answer, but have no worker that is ready."""
    now = clock.now()
    return [
        each
        for each in await tx.deployments.of_ids(deployment_ids)
        if not each.is_vendors
        and status_of(each, now)[0] is DeploymentStatus.READY
        and not any(worker.phase is Phase.READY for worker in each.workers)
    ]


async def demand(tx: Transaction, clock: Clock, cold: Sequence[Deployment]) -> None:
    for deployment in cold:
        await tx.deployments.demand(deployment.id, clock.now())
