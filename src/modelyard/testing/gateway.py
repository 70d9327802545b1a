"""The gateway's ports, held by a test's own hands."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from modelyard.domain.accounts import Caller, IdentityType, Role
from modelyard.domain.deployments import DeploymentStatus
from modelyard.domain.parameters import ParameterSchema
from modelyard.domain.routes import Endpoint, Route, RouteTable
from modelyard.domain.servers import ModelServer
from modelyard.domain.templates import EndpointProtocol, ModelType
from modelyard.domain.usage import UsageRecord
from modelyard.errors import Unauthenticated

ACCOUNT = "11111111-1111-4111-8111-111111111111"
KEY = "test-key"


def make_route(**changes: Any) -> Route:
    """A route to a chat model that speaks the OpenAI-compatible protocol, without a worker yet."""
    plain = Route(
        deployment_id="22222222-2222-4222-8222-222222222222",
        deployment_name="chat",
        account_id=ACCOUNT,
        model_id="33333333-3333-4333-8333-333333333333",
        model_name="chat-model",
        model_type=ModelType.CHAT_COMPLETION,
        protocol=EndpointProtocol.VLLM,
        predict_route="/predict",
        streaming_predict_route="/generate_streaming",
        supports_streaming=True,
        per_worker=10,
        max_workers=4,
        context_window=None,
        accepts_images=False,
        request_schema=ParameterSchema(),
        chat_template=None,
        status=DeploymentStatus.READY,
        reason=None,
        endpoints=(),
    )
    return replace(plain, **changes)


def make_caller(roles: dict[str, Role] | None = None) -> Caller:
    if roles is None:
        roles = {ACCOUNT: Role.MEMBER}
    return Caller(
        key_id="key-id",
        identity_id="identity-id",
        identity_type=IdentityType.USER,
        is_administrator=False,
        roles=roles,
    )


def endpoints(*addresses: str) -> tuple[Endpoint, ...]:
    """Workers w0, w1, … at these addresses."""
    return tuple(Endpoint(f"w{index}", address) for index, address in enumerate(addresses))


class FakeRoutes:
    """A `RouteSource` that shows what was put into it."""

    def __init__(self, *routes: Route) -> None:
        self._table = RouteTable(routes)
        self._changed = asyncio.Event()
        self.models: dict[str, str] = {}
        """Models without deployments: their ids by their names."""

    def snapshot(self) -> RouteTable:
        return self._table

    async def changed(self) -> None:
        await self._changed.wait()

    async def refresh(self) -> None:
        """What was put in is all there is."""

    async def undeployed(self, accounts: Sequence[str], model: str) -> str | None:
        return self.models.get(model)

    def put(self, *routes: Route, servers: Iterable[ModelServer] = ()) -> None:
        """Show these routes instead, and say so."""
        self._table = RouteTable(routes, servers)
        self._changed.set()
        self._changed = asyncio.Event()


class FakeKeys:
    """A `KeyVerifier` that knows the callers it was given, by their keys."""

    def __init__(self, callers: dict[str, Caller] | None = None) -> None:
        self.callers = callers if callers is not None else {KEY: make_caller()}

    async def verify(self, key: str) -> Caller:
        try:
            return self.callers[key]
        except KeyError as error:
            raise Unauthenticated("This API key is not known.") from error


class UsageList:
    """A `UsageSink` that keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[UsageRecord] = []

    def record(self, record: UsageRecord) -> None:
        self.records.append(record)


class FakeWaker:
    """A `Waker` that keeps which deployments were asked for."""

    def __init__(self) -> None:
        self.woken: list[str] = []

    def wake(self, deployment_id: str) -> None:
        self.woken.append(deployment_id)
