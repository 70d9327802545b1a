"""Routes: the gateway's whole view of what can be called.

A `RouteTable` is immutable; a new one replaces it whenever something changed, so a call sees one
consistent state from beginning to end.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import accumulate
from types import MappingProxyType

from modelyard.domain.deployments import DeploymentStatus
from modelyard.domain.fallbacks import of_server
from modelyard.domain.parameters import ParameterSchema
from modelyard.domain.servers import ModelServer
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
    fallbacks: tuple[str, ...] = ()
    """Ids of all deployments that may answer instead, in their order."""
    created_at: datetime = datetime.min.replace(tzinfo=UTC)
    model_account_id: str | None = None
    """Where the model is another account's than the deployment: a built-in model that somebody deployed."""

    @property
    def is_dead(self) -> bool:
        """Calls are refused at once."""
        return self.hopeless and not self.endpoints

    @property
    def is_going(self) -> bool:
        return self.status is DeploymentStatus.DELETE_IN_PROGRESS


class RouteTable:
    """Routes by deployment id; by (account, name) for the names of deployments, of their models and of the model
    servers in front of them."""

    __slots__ = ("_by_id", "_by_model", "_by_name", "_by_server", "_servers", "workers")

    def __init__(self, routes: Iterable[Route] = (), servers: Iterable[ModelServer] = ()) -> None:
        by_id: dict[str, Route] = {}
        by_name: dict[tuple[str, str], tuple[Route, ...]] = {}
        by_model: dict[tuple[str, str], list[Route]] = {}
        for route in routes:
            by_id[route.deployment_id] = route
            key = (route.account_id, route.deployment_name)
            by_name[key] = (*by_name.get(key, ()), route)
            # Whoever calls a built-in model by its name means the built-in deployment, not what somebody made of it.
            if route.model_account_id in (None, route.account_id):
                for name in (route.model_name, route.model_id):
                    by_model.setdefault((route.account_id, name), []).append(route)
        self.workers = frozenset(end.worker_id for route in by_id.values() for end in route.endpoints)
        """Ids of all workers that calls can go to."""
        self._by_id: Mapping[str, Route] = MappingProxyType(by_id)
        self._by_name: Mapping[tuple[str, str], tuple[Route, ...]] = MappingProxyType(by_name)
        self._by_model: Mapping[tuple[str, str], tuple[Route, ...]] = MappingProxyType(
            {key: tuple(sorted(found, key=_rank, reverse=True)) for key, found in by_model.items()}
        )
        self._servers: Mapping[str, ServerRoute] = MappingProxyType(
            {server.id: ServerRoute(server, by_id) for server in servers}
        )
        # An alias goes before a name: that is what it is for.
        self._by_server: Mapping[tuple[str, str], ServerRoute] = MappingProxyType(
            {(each.account_id, each.name): each for each in self._servers.values()}
            | {(each.account_id, each.alias): each for each in self._servers.values() if each.alias is not None}
        )

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Route]:
        return iter(self._by_id.values())

    def by_id(self, deployment_id: str) -> Route | None:
        return self._by_id.get(deployment_id)

    def by_name(self, account: str, name: str) -> tuple[Route, ...]:
        """The account's deployments called ``name``."""
        return self._by_name.get((account, name), ())

    def by_model(self, account: str, model: str) -> Route | None:
        """The deployment that a model of the account, by name or id, is called through: the newest of those that are
        READY; where none is, the newest of those with a worker, else the newest."""
        for route in self._by_model.get((account, model), ()):
            if not route.is_going:
                return route
        return None

    def server(self, server_id: str) -> "ServerRoute | None":
        return self._servers.get(server_id)

    def servers(self) -> Iterator["ServerRoute"]:
        return iter(self._servers.values())

    def server_named(self, account: str, name: str) -> "ServerRoute | None":
        """The account's model server with that alias, else with that name."""
        return self._by_server.get((account, name))

    def names(self, account: str) -> set[str]:
        """Every name under which something can be called in an account; walks all of them."""
        return {
            name for names in (self._by_name, self._by_model, self._by_server) for of, name in names if of == account
        }


class ServerRoute:
    """A model server as far as calling it goes: the routes behind it, by weight."""

    __slots__ = ("_sums", "_weighted", "account_id", "alias", "name", "server_id")

    def __init__(self, server: ModelServer, routes: Mapping[str, Route]) -> None:
        self.server_id = server.id
        self.account_id = server.account_id
        self.alias = server.alias
        self.name = server.name
        found = [(routes.get(backend.deployment_id), backend.weight) for backend in server.backends]
        there = [(route, weight) for route, weight in found if route is not None and not route.is_going and weight]
        # One whose workers fail gets no calls while another one is there.
        alive = [pair for pair in there if not pair[0].is_dead] or there
        if server.fallbacks:
            alive = _falling_back(server, alive, routes)
        self._weighted = tuple(route for route, _ in alive)
        self._sums = tuple(accumulate(weight for _, weight in alive))

    def choose(self, share: float) -> Route | None:
        """The route at ``share``, from 0 on and below 1, of all weights in a row; None where nothing is behind it."""
        if len(self._weighted) < 2:
            return self._weighted[0] if self._weighted else None
        return self._weighted[bisect_right(self._sums, share * self._sums[-1])]


def _falling_back(
    server: ModelServer, alive: list[tuple[Route, int]], routes: Mapping[str, Route]
) -> list[tuple[Route, int]]:
    """``alive``, each with whoever answers in its place when called through ``server``. Where nothing is behind that
    any more, the first of its fallbacks is."""
    named = [each for each in server.fallbacks if each in routes and not routes[each].is_going]
    alive = alive or [(routes[each], 1) for each in named[:1]]
    by_share = [route.deployment_id for route, _ in sorted(alive, key=lambda pair: -pair[1])]
    own = {each: routes[each].fallbacks for each in (*by_share, *named)}
    orders = [of_server(route.deployment_id, by_share, named, own) for route, _ in alive]
    return [(replace(route, fallbacks=order), weight) for (route, weight), order in zip(alive, orders, strict=True)]


def _rank(route: Route) -> tuple[bool, bool, datetime]:
    return route.status is DeploymentStatus.READY, bool(route.endpoints), route.created_at
