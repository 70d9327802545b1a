"""Waiting for deployments that are being deleted."""

from collections.abc import Sequence

from modelyard.clock import Clock
from modelyard.errors import NotFound
from modelyard.store import Store

_LOOK_SECONDS = 0.1


async def wait_until_gone(store: Store, clock: Clock, deployment_ids: Sequence[str], seconds: float) -> bool:
    """Whether all of them are gone, within ``seconds``."""
    left = list(deployment_ids)
    until = clock.monotonic() + seconds
    while True:
        left = [deployment_id for deployment_id in left if await _is_there(store, deployment_id)]
        if not left or clock.monotonic() >= until:
            return not left
        await clock.sleep(_LOOK_SECONDS)


async def _is_there(store: Store, deployment_id: str) -> bool:
    try:
        async with store.read() as tx:
            await tx.deployments.get(deployment_id, None)
    except NotFound:
        return False
    return True
