"""What can be called, for the gateway: the store's deployments as one immutable table, kept fresh."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from modelyard import catalog
from modelyard.clock import Clock
from modelyard.control.vendors.keys import VendorKeys
from modelyard.control.vendors.routes import base_urls, vendor_route
from modelyard.domain.cards import EngineCard
from modelyard.domain.deployments import Deployment, Phase, Worker
from modelyard.domain.fallbacks import in_order
from modelyard.domain.lifecycle import is_hopeless, status_of
from modelyard.domain.models import Model, ModelVendor
from modelyard.domain.parameters import Value
from modelyard.domain.routes import Endpoint, Route, RouteTable
from modelyard.domain.servers import ModelServer
from modelyard.domain.snapshots import Snapshot, snapshot_of
from modelyard.domain.startup import coming_since
from modelyard.domain.templates import BUILT_IN_REGISTRY, EndpointProtocol, ModelType, Template
from modelyard.errors import ModelyardError
from modelyard.settings import Settings
from modelyard.store import Store
from modelyard.store.pulse import Pulse

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
"""How often the store is asked whether anything changed: other processes' changes are seen no later."""

_LOOK_SECONDS = 1.0
"""How long a call of an unknown name waits to hear more about it."""

_GENERATES = (ModelType.CHAT_COMPLETION, ModelType.COMPLETION)

Snapshots = Mapping[tuple[str, str], Snapshot]
"""By (deployment id, revision)."""


class Routes:
    """A `modelyard.gateway.ports.RouteSource`. While the store cannot be read, the last table stands."""

    def __init__(self, store: Store, clock: Clock, settings: Settings, vendor_keys: VendorKeys | None = None) -> None:
        """``vendor_keys`` are told accounts' own whenever they change."""
        self._vendor_keys = vendor_keys
        self._addresses = base_urls(settings.vendors)
        self._store = store
        self._clock = clock
        self._cards = catalog.load().cards
        self._table = RouteTable()
        self._deployments: list[Deployment] = []
        self._version: int | None = None
        # They never change, so none is read twice.
        self._snapshots: dict[tuple[str, str], Snapshot] = {}
        self._changed = asyncio.Event()
        self._reading = asyncio.Lock()

    def snapshot(self) -> RouteTable:
        return self._table

    def deployments(self) -> list[Deployment]:
        """What the table was made of."""
        return self._deployments

    @property
    def version(self) -> int:
        """Of the table; -1 before the first one."""
        return -1 if self._version is None else self._version

    async def changed(self) -> None:
        await self._changed.wait()

    async def refresh(self) -> None:
        """Read the table anew if anything changed since; raises `Unavailable` while the store cannot be read."""
        async with self._reading:
            async with self._store.read() as tx:
                version = await tx.deployments.routes_version()
                if version == self._version:
                    return
                deployments = await tx.deployments.all_live()
                models = await tx.models.get_many(list({each.model_id for each in deployments}))
                template_ids = {model.model_template_id for model in models.values() if model.model_template_id}
                servers = await tx.servers.all()
                templates = await tx.templates.get_many(list(template_ids))
                shown = {pair for each in deployments for pair in _shown(each)}
                kept = {pair: snapshot for pair, snapshot in self._snapshots.items() if pair in shown}
                self._snapshots = kept | await tx.revisions.snapshots(shown - kept.keys())
                if self._vendor_keys is not None:
                    self._vendor_keys.load(await tx.vendor_credentials.all())
            now = self._clock.now()
            self._table = table_of(
                deployments, models, templates, self._snapshots, self._cards, now, servers, self._addresses
            )
            self._deployments = deployments
            self._version = version
            # Whoever waits now is woken; whoever waits from now on waits for the next change.
            self._changed.set()
            self._changed = asyncio.Event()

    async def undeployed(self, accounts: Sequence[str], model: str) -> str | None:
        try:
            async with asyncio.timeout(_LOOK_SECONDS), self._store.read() as tx:
                return await tx.models.find_id(model, accounts)
        except (ModelyardError, TimeoutError):
            return None

    async def run(self, also: Callable[[Pulse], Awaitable[None]] | None = None) -> None:
        """Follow the store until cancelled. ``also``: what else goes by its pulse."""
        reachable = True
        while True:
            try:
                pulse = await self._store.pulse()
                if pulse.routes_version != self._version:
                    await self.refresh()
                if also is not None:
                    await also(pulse)
                reachable = True
            except ModelyardError as error:
                if reachable:
                    log.warning("routes stand still: the store cannot be read", error=str(error))
                reachable = False
            await self._clock.sleep(POLL_SECONDS)


def _shown(deployment: Deployment) -> set[tuple[str, str]]:
    if deployment.is_vendors:
        return set()
    return {(deployment.id, deployment.revision), *((deployment.id, row.revision) for row in deployment.workers)}


def table_of(
    deployments: list[Deployment],
    models: Mapping[str, Model],
    templates: Mapping[str, Template],
    snapshots: Snapshots,
    cards: Mapping[str, EngineCard],
    now: datetime,
    servers: Iterable[ModelServer] = (),
    addresses: Mapping[ModelVendor, str] = {},
) -> RouteTable:
    """The route of every deployment, and the model servers in front of them. ``addresses``: those of vendors that are
    not their own."""
    routes = []
    own = {each.id: models[each.model_id].fallbacks for each in deployments if models[each.model_id].fallbacks}
    for deployment in deployments:
        model = models[deployment.model_id]
        if deployment.is_vendors:
            routes.append(vendor_route(deployment, model, addresses, now))
            continue
        template = templates.get(model.model_template_id or "")
        if template is not None:
            routes.append(route_of(deployment, model, template, snapshots, cards, now))
    if own:
        routes = [replace(route, fallbacks=in_order(own, route.deployment_id)) for route in routes]
    return RouteTable(routes, servers)


def route_of(
    deployment: Deployment,
    model: Model,
    template: Template,
    snapshots: Snapshots,
    cards: Mapping[str, EngineCard],
    now: datetime,
) -> Route:
    def spoken(revision: str) -> Spoken:
        snapshot = snapshots.get((deployment.id, revision))
        if snapshot is None:  # it is older than revisions are kept for
            snapshot = snapshot_of(
                template, model, deployment.model_creation_parameters, deployment.vendor_configuration
            )
        return _spoken(snapshot, cards)

    status, detail = status_of(deployment, now)
    spoken_by, ready = _serving(deployment, spoken)
    return Route(
        deployment_id=deployment.id,
        deployment_name=deployment.name,
        account_id=deployment.account_id,
        model_id=model.id,
        model_name=model.name,
        model_type=model.model_type,
        protocol=spoken_by.protocol,
        predict_route=spoken_by.predict_route,
        streaming_predict_route=spoken_by.streaming_predict_route,
        supports_streaming=spoken_by.supports_streaming,
        per_worker=deployment.target.per_worker,
        max_workers=deployment.target.max_workers,
        context_window=spoken_by.context_window or model.context_window,
        accepts_images=False,
        request_schema=template.request_schema,
        chat_template=spoken_by.chat_template,
        status=status,
        reason=detail.reason,
        endpoints=tuple(Endpoint(worker.id, worker.address) for worker in ready if worker.address is not None),
        start_seconds=deployment.observed.start_seconds,
        coming_since=coming_since(deployment.workers),
        hopeless=is_hopeless(deployment),
        created_at=deployment.created_at,
        model_account_id=model.account_id,
    )


@dataclass(frozen=True, slots=True)
class Spoken:
    """How the workers of a revision are spoken to."""

    protocol: EndpointProtocol
    predict_route: str
    streaming_predict_route: str
    supports_streaming: bool
    context_window: int | None
    chat_template: str | None


def _serving(deployment: Deployment, spoken: Callable[[str], Spoken]) -> tuple[Spoken, list[Worker]]:
    """The ready workers that calls go to, and how they are spoken to, all of them alike. While revisions change that
    are spoken to differently, the earlier one has the calls until as many of the new one are ready."""
    ready = [row for row in deployment.workers if row.phase is Phase.READY and row.address is not None]
    own = [row for row in ready if row.revision == deployment.revision]
    others = [row for row in ready if row.revision != deployment.revision]
    lead = deployment.revision if len(own) >= len(others) else others[-1].revision
    chosen = spoken(lead)
    return chosen, [row for row in ready if row.revision == lead or spoken(row.revision) == chosen]


def _spoken(snapshot: Snapshot, cards: Mapping[str, EngineCard]) -> Spoken:
    parameters = {**_defaults(snapshot, cards), **snapshot.parameters}
    chat_template = parameters.get("chat_template")
    return Spoken(
        protocol=snapshot.protocol,
        predict_route=snapshot.bundle.predict_route,
        streaming_predict_route=snapshot.bundle.streaming_predict_route,
        supports_streaming=_streams(snapshot),
        context_window=_window(parameters),
        chat_template=chat_template if isinstance(chat_template, str) and chat_template else None,
    )


def _defaults(snapshot: Snapshot, cards: Mapping[str, EngineCard]) -> dict[str, Value]:
    """What a built-in engine takes where nothing is said."""
    card = cards.get(snapshot.bundle.image) if snapshot.bundle.registry == BUILT_IN_REGISTRY else None
    if card is None:
        return {}
    return {parameter.name: parameter.default for parameter in card.parameters if parameter.default is not None}


def _window(parameters: Mapping[str, Value]) -> int | None:
    """The context window, in tokens, that the worker was told to have; 0 means: the model's own."""
    length = parameters.get("context_length")
    return length if isinstance(length, int) and not isinstance(length, bool) and length > 0 else None


def _streams(snapshot: Snapshot) -> bool:
    if snapshot.protocol is not EndpointProtocol.SGP or snapshot.streaming:
        return True
    return snapshot.bundle.registry == BUILT_IN_REGISTRY and snapshot.model_type in _GENERATES
