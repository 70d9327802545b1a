"""Whether a call keeps to its limits: asked once, before anything is sent."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from modelyard.domain.inference import ChatRequest, CompletionRequest, NativeRequest
from modelyard.domain.limits import MONEY, Kind, Limit, Want
from modelyard.domain.routes import Route
from modelyard.gateway.metering import Call
from modelyard.gateway.ports import Admits, RouteSource
from modelyard.gateway.worst_case import most_prompt_tokens

Price = Callable[[Route, int, int], int | None]
"""The most that so many prompt and response tokens of a route may cost, in billionths of a dollar."""


class Admission:
    def __init__(
        self, limiter: Admits, routes: RouteSource, price: Price, assumed_response_tokens: int, queue_seconds: float
    ) -> None:
        self._limiter = limiter
        self._routes = routes
        self._price = price
        self._assumed = assumed_response_tokens
        self._queue_seconds = queue_seconds

    async def admit(self, call: Call) -> None:
        """Reserve what ``call`` may use; a call that is sent in several parts, or to one deployment after the other,
        asks once for all of them."""
        if call.admission is None:
            caller = call.caller
            limits = self._limiter.limits_of(call.account_id, caller.key_id, caller.identity_id, call.asked.model_id)
            if not limits:
                return
            call.admission = asyncio.create_task(self._reserve(call, limits))
        await call.admission

    async def _reserve(self, call: Call, limits: tuple[Limit, ...]) -> None:
        wait = self._queue_seconds if call.max_wait is None else min(call.max_wait, self._queue_seconds)
        routes = self._who_may_answer(call)
        admitted = await self._limiter.admit(limits, self._want(call, routes), wait)
        call.admitted = replace(admitted, most_response=self._assumed) if _counts(limits, routes) else admitted

    def _who_may_answer(self, call: Call) -> list[Route]:
        table = self._routes.snapshot()
        others = (table.by_id(each) for each in call.asked.fallbacks)
        return [call.asked, *(route for route in others if route is not None)]

    def _want(self, call: Call, routes: Sequence[Route]) -> Want:
        """What the dearest of those that may answer can use."""
        if call.request is None:  # what is passed through unread counts as a call, and as no tokens
            return Want()
        wants = [self._of(call.parts or (call.request,), route) for route in routes]
        costs = [want.nano for want in wants if want.nano is not None]
        return Want(max(want.tokens for want in wants), max(costs) if len(costs) == len(wants) else None)

    def _of(self, requests: Sequence[NativeRequest], route: Route) -> Want:
        prompt = sum(most_prompt_tokens(request, route) for request in requests)
        response = sum(self._most_response(request, route) for request in requests)
        return Want(prompt + response, 0 if route.vendor is None else self._price(route, prompt, response))

    def _most_response(self, request: NativeRequest, route: Route) -> int:
        if not isinstance(request, ChatRequest | CompletionRequest):
            return 0
        times = len(request.prompts) if isinstance(request, CompletionRequest) else 1
        most = self._assumed if request.max_tokens is None else request.max_tokens
        if route.vendor is not None and route.vendor.max_output_tokens is not None:
            most = min(most, route.vendor.max_output_tokens)
        return times * most


def _counts(limits: Sequence[Limit], routes: Sequence[Route]) -> bool:
    """Whether it matters how long an answer is."""
    kinds = {kind for limit in limits for kind in limit.bounds}
    return Kind.TOKENS in kinds or bool(kinds & MONEY and any(route.vendor is not None for route in routes))
