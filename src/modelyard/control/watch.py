"""Deployments at rest, looked at without the store."""

import asyncio
from collections.abc import Sequence

from modelyard.control.probe import Prober
from modelyard.domain.deployments import Deployment, Observation, Phase
from modelyard.domain.templates import Template
from modelyard.launchers.base import Launcher


class Watch:
    """Knows how deployments looked after their last step, and which do not look so any more.

    It decides nothing: whoever finds a surprise asks for a step, which looks again under the lease.
    """

    def __init__(self, launcher: Launcher, prober: Prober) -> None:
        self._launcher = launcher
        self._prober = prober
        self._expected: dict[str, tuple[Deployment, Template]] = {}

    def add(self, deployment: Deployment, template: Template) -> None:
        if deployment.workers:
            self._expected[deployment.id] = (deployment, template)

    def drop(self, deployment_id: str) -> None:
        self._expected.pop(deployment_id, None)

    async def surprises(self) -> list[str]:
        """Ids of the deployments whose workers are not as they were."""
        looks = await asyncio.gather(*(self._look(*expected) for expected in list(self._expected.values())))
        return [deployment_id for deployment_id in looks if deployment_id is not None]

    async def _look(self, deployment: Deployment, template: Template) -> str | None:
        seen = await self._launcher.observe(deployment.id)
        judged = await self._prober.judge(deployment, template, seen)
        return None if as_expected(deployment, judged) else deployment.id


def as_expected(deployment: Deployment, seen: Sequence[Observation]) -> bool:
    """Whether exactly the workers written down exist, each as far as it was."""

    def ended(phases: dict[str, Phase]) -> dict[str, bool]:
        return {worker_id: phase is Phase.EXITED for worker_id, phase in phases.items()}

    rows = {row.id: row.phase for row in deployment.workers}
    return ended(rows) == ended({each.worker_id: each.phase for each in seen})
