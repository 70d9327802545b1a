"""How busy a gateway is: what it tells of itself, once a second, to whoever decides about workers."""

from collections.abc import Iterable

from msgspec import Struct, field


class DeploymentLoad(Struct, frozen=True):
    """Calls of one deployment."""

    in_flight: int = 0
    waiting: int = 0
    """Calls that wait for a place on a worker."""
    calls: int = 0
    """Calls that got a place, ever since the gateway started; only its changes mean anything."""

    @property
    def load(self) -> int:
        return self.in_flight + self.waiting


class GatewayLoad(Struct, frozen=True):
    """Of one gateway process, or of several added up. What is idle is left out."""

    deployments: dict[str, DeploymentLoad] = field(default_factory=dict)
    workers: dict[str, int] = field(default_factory=dict)
    """Calls in flight by worker."""


class GatewayReport(Struct, frozen=True):
    """What one gateway tells the others: how busy it is, and how new the routes are that its calls take."""

    routes_version: int
    load: GatewayLoad


def added(loads: Iterable[GatewayLoad]) -> GatewayLoad:
    """The load of several gateways together."""
    deployments: dict[str, DeploymentLoad] = {}
    workers: dict[str, int] = {}
    for load in loads:
        for name, more in load.deployments.items():
            have = deployments.get(name, DeploymentLoad())
            deployments[name] = DeploymentLoad(
                have.in_flight + more.in_flight, have.waiting + more.waiting, have.calls + more.calls
            )
        for worker_id, calls in load.workers.items():
            workers[worker_id] = workers.get(worker_id, 0) + calls
    return GatewayLoad(deployments, workers)
