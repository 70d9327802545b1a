"""Waiting until a deployment is what was asked for."""

import asyncio
from collections.abc import Awaitable, Callable

from modelyard.clock import Clock
from modelyard.domain.deployments import Deployment, DeploymentStatus
from modelyard.domain.lifecycle import status_of
from modelyard.store import Store

Pause = Callable[[], Awaitable[None]]

_SETTLED = (DeploymentStatus.READY, DeploymentStatus.UPDATE_FAILED)


async def wait_settled(
    store: Store, clock: Clock, deployment_id: str, generation: int, timeout: float, watch: Callable[[], Pause]
) -> Deployment:
    """The deployment once that generation, or a later one, is READY, UPDATE_FAILED or on its way out.

    ``watch`` is called before each look; what it gives waits until another one makes sense. Raises `TimeoutError` when
    it takes longer, `NotFound` when it is gone.
    """
    async with asyncio.timeout(timeout):
        while True:
            pause = watch()
            async with store.read() as tx:
                deployment = await tx.deployments.get(deployment_id, None)
            status, _ = status_of(deployment, clock.now())
            if deployment.target.deleted or (deployment.observed.generation >= generation and status in _SETTLED):
                return deployment
            await pause()
