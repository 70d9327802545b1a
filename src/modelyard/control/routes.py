"""What can be called, for the gateway: the store's deployments as one immutable table, kept fresh."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

import structlog

from modelyard import catalog
from modelyard.clock import Clock
from modelyard.domain.cards import EngineCard
from modelyard.domain.deployments import Deployment, Phase
from modelyard.domain.lifecycle import status_of
from modelyard.domain.models import Model
from modelyard.domain.parameters import Value
from modelyard.domain.routes import Endpoint, Route, RouteTable
from modelyard.domain.specs import is_streaming, merged_parameters
from modelyard.domain.startup import coming_since
from modelyard.domain.templates import BUILT_IN_REGISTRY, EndpointProtocol, ModelType, Template
from modelyard.errors import ModelyardError
from modelyard.settings import Settings
from modelyard.store import Store

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
"""How often the store is asked whether anything changed: other processes' changes are seen no later."""

_GENERATES = (ModelType.CHAT_COMPLETION, ModelType.COMPLETION)


class Routes:
    """A `modelyard.gateway.ports.RouteSource`. While the store cannot be read, the last table stands."""

    def __init__(self, store: Store, clock: Clock, settings: Settings) -> None:
        self._store = store
        self._clock = clock
        self._cards = catalog.load().cards
        self._table = RouteTable()
        self._deployments: list[Deployment] = []
        self._version: int | None = None
        self._changed = asyncio.Event()
        self._reading = asyncio.Lock()

    def snapshot(self) -> RouteTable:
        return self._table

    def deployments(self) -> list[Deployment]:
        """What the table was made of."""
        return self._deployments

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
                templates = await tx.templates.get_many(list(template_ids))
            self._table = table_of(deployments, models, templates, self._cards, self._clock.now())
            self._deployments = deployments
            self._version = version
            # Whoever waits now is woken; whoever waits from now on waits for the next change.
            self._changed.set()
            self._changed = asyncio.Event()

    async def run(self) -> None:
        """Follow the store until cancelled."""
        reachable = True
        while True:
            try:
                if (await self._store.pulse()).routes_version != self._version:
                    await self.refresh()
                reachable = True
            except ModelyardError as error:
                if reachable:
                    log.warning("routes stand still: the store cannot be read", error=str(error))
                reachable = False
            await self._clock.sleep(POLL_SECONDS)


def table_of(
    deployments: list[Deployment],
    models: Mapping[str, Model],
    templates: Mapping[str, Template],
    cards: Mapping[str, EngineCard],
    now: datetime,
) -> RouteTable:
    """The route of every deployment whose model has a template."""
    routes = []
    for deployment in deployments:
        model = models[deployment.model_id]
        template = templates.get(model.model_template_id or "")
        if template is not None:
            routes.append(route_of(deployment, model, template, cards, now))
    return RouteTable(routes)


def route_of(
    deployment: Deployment, model: Model, template: Template, cards: Mapping[str, EngineCard], now: datetime
) -> Route:
    parameters = {**_defaults(template, cards), **merged_parameters(model, deployment.model_creation_parameters)}
    status, detail = status_of(deployment, now)
    chat_template = parameters.get("chat_template")
    return Route(
        deployment_id=deployment.id,
        deployment_name=deployment.name,
        account_id=deployment.account_id,
        model_id=model.id,
        model_name=model.name,
        model_type=model.model_type,
        protocol=template.endpoint_protocol,
        predict_route=template.bundle.predict_route,
        streaming_predict_route=template.bundle.streaming_predict_route,
        supports_streaming=_streams(template),
        per_worker=deployment.target.per_worker,
        max_workers=deployment.target.max_workers,
        context_window=_window(parameters) or model.context_window,
        accepts_images=False,
        request_schema=template.request_schema,
        chat_template=chat_template if isinstance(chat_template, str) and chat_template else None,
        status=status,
        reason=detail.reason,
        endpoints=tuple(
            Endpoint(worker.id, worker.address)
            for worker in deployment.workers
            if worker.phase is Phase.READY and worker.address is not None
        ),
        start_seconds=deployment.observed.start_seconds,
        coming_since=coming_since(deployment.workers),
    )


def _defaults(template: Template, cards: Mapping[str, EngineCard]) -> dict[str, Value]:
    """What a built-in engine takes where nothing is said."""
    card = cards.get(template.bundle.image) if template.bundle.registry == BUILT_IN_REGISTRY else None
    if card is None:
        return {}
    return {parameter.name: parameter.default for parameter in card.parameters if parameter.default is not None}


def _window(parameters: Mapping[str, Value]) -> int | None:
    """The context window, in tokens, that the worker was told to have; 0 means: the model's own."""
    length = parameters.get("context_length")
    return length if isinstance(length, int) and not isinstance(length, bool) and length > 0 else None


def _streams(template: Template) -> bool:
    if template.endpoint_protocol is EndpointProtocol.VLLM or is_streaming(template):
        return True
    return template.bundle.registry == BUILT_IN_REGISTRY and template.model_type in _GENERATES
