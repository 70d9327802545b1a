"""Whether a call keeps to its limits: asked once, before anything is sent."""

import asyncio
from collections.abc import Callable

from modelyard.domain.inference import ChatRequest, CompletionRequest, NativeRequest
from modelyard.domain.limits import Limit, Want
from modelyard.domain.routes import Route
from modelyard.gateway.metering import Call, estimate_request
from modelyard.gateway.ports import Admits

Price = Callable[[Route, int, int], int | None]
"""The most that so many prompt and response tokens of a route may cost, in billionths of a dollar."""


class Admission:
    def __init__(self, limiter: Admits, price: Price, assumed_response_tokens: int, queue_seconds: float) -> None:
        self._limiter = limiter
        self._price = price
        self._assumed = assumed_response_tokens
        self._queue_seconds = queue_seconds

    async def admit(self, call: Call) -> None:
        """Reserve what ``call`` may use; a call that is sent in several parts asks once for all of them."""
        if call.admission is None:
            caller = call.caller
            limits = self._limiter.limits_of(call.account_id, caller.key_id, caller.identity_id, call.route.model_id)
            if not limits:
                return
            call.admission = asyncio.create_task(self._reserve(call, limits))
        await call.admission

    async def _reserve(self, call: Call, limits: tuple[Limit, ...]) -> None:
        wait = self._queue_seconds if call.max_wait is None else min(call.max_wait, self._queue_seconds)
        call.admitted = await self._limiter.admit(limits, self._want(call), wait)

    def _want(self, call: Call) -> Want:
        if call.request is None:  # what is passed through unread counts as a call, and as no tokens
            return Want()
        prompt = response = 0
        for request in call.parts or (call.request,):
            asked = estimate_request(request)
            prompt += asked
            response += self._longest_response(call.route, request, asked)
        nano = 0 if call.route.vendor is None else self._price(call.route, prompt, response)
        return Want(prompt + response, nano)

    def _longest_response(self, route: Route, request: NativeRequest, prompt: int) -> int:
        if not isinstance(request, ChatRequest | CompletionRequest):
            return 0
        times = len(request.prompts) if isinstance(request, CompletionRequest) else 1
        bounds = [
            bound
            for bound in (
                request.max_tokens,
                route.vendor.max_output_tokens if route.vendor is not None else None,
                None if route.context_window is None else max(1, route.context_window - prompt),
            )
            if bound is not None
        ]
        known = request.max_tokens if request.max_tokens is not None else min([*bounds, self._assumed])
        return times * known
