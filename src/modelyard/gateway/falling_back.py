"""Asking others where the deployment that was called cannot answer: its fallbacks, in their order, and the model
server's where it was called through one.

It is left for the next one as long as no piece of an answer has gone out. One that has no worker yet is woken, and
asked last: whoever is there answers meanwhile.
"""

import contextlib
import functools
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar

import structlog

from modelyard.domain.routes import Route
from modelyard.errors import ModelyardError, RateLimited, Unavailable, UpstreamError, UpstreamTimeout
from modelyard.gateway.metering import Call
from modelyard.gateway.ports import RouteSource, Waker

T = TypeVar("T")
R = TypeVar("R")

log = structlog.get_logger(__name__)

_FAILS = (Unavailable, UpstreamError, UpstreamTimeout, RateLimited)
"""What another deployment may do better at; what is wrong with the request, it would find wrong too."""


class FallingBack:
    def __init__(self, routes: RouteSource, waker: Waker) -> None:
        self._routes = routes
        self._waker = waker

    async def ask(self, call: Call, ask: Callable[[], Awaitable[T]]) -> T:
        """What ``ask`` gives for the first deployment that can answer; ``call.route`` is that one then."""
        targets, call.turned = self._targets(call.route), True
        for route in targets[:-1]:
            call.turn_to(route)
            try:
                return await ask()
            except _FAILS as error:
                if _is_ours(error):
                    raise
                _tell(call, error)
        call.turn_to(targets[-1])
        return await ask()

    async def stream(self, call: Call, ask: Callable[[], AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
        """The same for an answer in pieces."""
        targets, call.turned = self._targets(call.route), True
        for route in targets:
            call.turn_to(route)
            begun = False
            try:
                async with contextlib.aclosing(ask()) as pieces:
                    async for piece in pieces:
                        begun = True
                        yield piece
            except _FAILS as error:
                if begun or route is targets[-1] or _is_ours(error):
                    raise
                _tell(call, error)
            else:
                return

    def _targets(self, called: Route) -> list[Route]:
        """At least one. Those with somebody to answer come first."""
        table = self._routes.snapshot()
        found = [table.by_id(each) for each in (called.deployment_id, *called.fallbacks)]
        # A model may have been made one of another type since it was named.
        there = [route for route in found if route and not route.is_going and route.model_type is called.model_type]
        ready = [route for route in there if route.endpoints]
        if ready and there[0] not in ready:
            self._waker.wake(there[0].deployment_id)
        return [*ready, *(route for route in there if not route.endpoints)] or [called]


def _is_ours(error: ModelyardError) -> bool:
    """Whether it is a limit of this installation's own, which holds whoever answers."""
    return isinstance(error, RateLimited) and error.code != "vendor_rate_limited"


def _tell(call: Call, error: ModelyardError) -> None:
    log.warning("falling back", request_id=call.request_id, deployment=call.route.deployment_id, why=str(error))


def falls_back(verb: Callable[[Any, Call, R], Awaitable[T]]) -> Callable[[Any, Call, R], Awaitable[T]]:
    """For the gateway's verbs: where the deployment has fallbacks, they are asked too. Others pay nothing for it."""

    @functools.wraps(verb)
    async def asked(gateway: Any, call: Call, request: R) -> T:
        if not call.route.fallbacks or call.turned:
            return await verb(gateway, call, request)
        back: FallingBack = gateway.falling_back
        return await back.ask(call, lambda: verb(gateway, call, request))

    return asked
