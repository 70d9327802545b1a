"""Routes: the gateway's whole view of what can be called.

A `RouteTable` is immutable; a new one replaces it whenever something changed, so a call sees one
consistent state from beginning to end.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID
from modelyard.domain.deployments import DeploymentStatus
from modelyard.domain.parameters import ParameterSchema
from modelyard.domain.templates import EndpointProtocol, ModelType
from modelyard.domain.vendors import VendorTarget


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A ready worker: where it listens."""

    worker_id: str
    address: str


@dataclass(frozen=True, slots=True)
class Route:
    """One deployment, as far as calling it goes."""

    deployment_id: str
    deployment_name: str
    account_id: str
    model_id: str
    model_name: str
    model_type: ModelType
    protocol: EndpointProtocol
    predict_route: str
    streaming_predict_route: str
    supports_streaming: bool
    """False where the endpoint_type says that the worker has no streaming route."""
    per_worker: int
    max_workers: int
    context_window: int | None
    accepts_images: bool
    request_schema: ParameterSchema
    chat_template: str | None
    """The model's own override of its chat template, where its parameters carry one."""
    status: DeploymentStatus
    reason: str | None
    endpoints: tuple[Endpoint, ...]
    start_seconds: tuple[float, ...] = ()
    """How long its last workers took to be ready."""
    coming_since: datetime | None = None
    """When the worker began to start that has been starting for longest."""
    hopeless: bool = False
    """Its workers fail: without a ready one, calls are refused at once."""
    vendor: VendorTarget | None = None
    """Set where a vendor answers instead of workers."""


class RouteTable:
    """Routes by deployment id, and by (account, name) for deployments' and built-in models' names."""

    __slots__ = ("_by_id", "_by_name", "workers")

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        by_id: dict[str, Route] = {}
        by_name: dict[tuple[str, str], tuple[Route, ...]] = {}
        for route in routes:
            by_id[route.deployment_id] = route
            names = {route.deployment_name}
            if route.account_id == PLATFORM_ACCOUNT_ID:
                names.add(route.model_name)
            for name in names:
                key = (route.account_id, name)
                by_name[key] = (*by_name.get(key, ()), route)
        self.workers = frozenset(end.worker_id for route in by_id.values() for end in route.endpoints)
        """Ids of all workers that calls can go to."""
        self._by_id: Mapping[str, Route] = MappingProxyType(by_id)
        self._by_name: Mapping[tuple[str, str], tuple[Route, ...]] = MappingProxyType(by_name)

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Route]:
        return iter(self._by_id.values())

    def by_id(self, deployment_id: str) -> Route | None:
        return self._by_id.get(deployment_id)

    def by_name(self, accounts: Iterable[str], name: str) -> tuple[Route, ...]:
        """Every route called ``name`` in the first of ``accounts`` that has one."""
        for account in accounts:
            if found := self._by_name.get((account, name)):
                return found
        return ()
