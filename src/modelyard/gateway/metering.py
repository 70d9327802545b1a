"""Exactly one usage record for each call, whatever becomes of it."""

import asyncio
import random
from collections.abc import Sequence
from types import TracebackType

from msgspec import UnsetType

from modelyard.clock import Clock
from modelyard.domain.accounts import Caller
from modelyard.domain.history import estimate, estimate_text, tool_tokens
from modelyard.domain.inference import ChatRequest, CompletionRequest, EmbeddingRequest, NativeRequest
from modelyard.domain.limits import NOTHING_LIMITS
from modelyard.domain.routes import Route
from modelyard.domain.traces import Trace
from modelyard.domain.usage import Outcome, UsageRecord, Verb
from modelyard.errors import ModelyardError
from modelyard.gateway.ports import UsageSink

_numbers = random.Random()  # noqa: S311  # seeded by the system; ids need to be unique, not secret, and this is cheap


def _random() -> int:
    return _numbers.getrandbits(128)


class ClientGone(Exception):
    """The client closed the connection before its call was whole."""


class Call:
    """One call to one deployment, as a context manager: the record is made when the block is left, or at `settle`.

    An exception in the block decides the outcome; a cancellation means that the client went away. Where the
    worker told no token counts, they are estimated from what was sent and received.
    """

    __slots__ = (
        "_asked",
        "_clock",
        "_first_byte",
        "_settled",
        "_sink",
        "_started",
        "_started_at",
        "account_id",
        "adjusted",
        "admission",
        "admitted",
        "begun",
        "cached_tokens",
        "caller",
        "counted_prompt",
        "dropped_messages",
        "estimated_response",
        "max_wait",
        "parts",
        "prompt_tokens",
        "reasoning_tokens",
        "record",
        "request",
        "request_id",
        "response_tokens",
        "route",
        "secrets",
        "sent",
        "trace",
        "trims",
        "turned",
        "verb",
    )

    def __init__(
        self, sink: UsageSink, clock: Clock, caller: Caller, account_id: str, route: Route, verb: Verb, request_id: str
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._started_at, self._started = clock.now(), clock.monotonic()
        self._first_byte: float | None = None
        self._settled = False
        self.caller = caller
        self.account_id = account_id
        self._asked = route
        self.route = route
        """Who answers: what was called, or one of its fallbacks."""
        self.verb = verb
        self.request_id = request_id
        self.request: NativeRequest | None = None
        """What was asked, for estimates."""
        self.parts: Sequence[NativeRequest] = ()
        """All that is asked, where that is several requests side by side."""
        self.max_wait: float | None = None
        """Seconds that the caller is willing to wait for a worker; None: as long as the settings allow."""
        self.trims = True
        """Whether the oldest turns of a conversation may be dropped; otherwise what is too long is refused."""
        self.turned = False
        """Whether its fallbacks are being asked in their turn."""
        self.sent = self.begun = False
        """Whether a worker has begun to work on it, and whether its answer has begun."""
        self.prompt_tokens: int | None = None
        self.response_tokens: int | None = None
        self.cached_tokens = self.reasoning_tokens = self.estimated_response = self.dropped_messages = 0
        """Tokens of the prompt from a cache, of the response spent on reasoning, of the text that came so far, roughly;
        messages of the history that were left out to fit the context window."""
        self.admission: asyncio.Task[None] | None = None
        """Under way or over, where the call has limits to keep to."""
        self.admitted = NOTHING_LIMITS
        self.trace: Trace | None = None
        self.record: UsageRecord | None = None
        """What was told of it, once it is over."""
        self.counted_prompt: int | None = None
        """Tokens of the prompt, where they were counted before it was sent."""
        self.adjusted: tuple[str, ...] = ()
        self.secrets: tuple[str, ...] = ()
        """What had to be changed for whoever answers, in words; what that one was sent, and nobody else is to read."""

    @property
    def asked(self) -> Route:
        """What was called, whoever answers."""
        return self._asked

    def first_byte(self) -> None:
        """The first piece of the answer is on its way to the client. An answer that is sent whole has no other
        first byte than its end."""
        self.begun = True
        if self._first_byte is None:
            self._first_byte = self._clock.monotonic() - self._started

    def turn_to(self, route: Route) -> None:
        """Somebody else is asked: what is known of the last one's answer is forgotten."""
        if route is self.route:
            return
        self.route = route
        self.sent = self.begun = False
        self.prompt_tokens = self.response_tokens = self.counted_prompt = None
        self.estimated_response = self.dropped_messages = self.cached_tokens = self.reasoning_tokens = 0
        self.adjusted = ()

    def count(
        self,
        prompt: int | None,
        response: int | None,
        cached: int | UnsetType | None = None,
        reasoning: int | UnsetType | None = None,
    ) -> None:
        """The worker's own counts, as far as it told."""
        if prompt is not None:
            self.prompt_tokens = prompt
        if response is not None:
            self.response_tokens = response
        if isinstance(cached, int):
            self.cached_tokens = cached
        if isinstance(reasoning, int):
            self.reasoning_tokens = reasoning

    def settle(self) -> None:
        """The answer is whole, and its last byte about to be sent: the record is made now, so that no answered call
        goes uncounted, whatever happens next."""
        if not self._settled:
            self._settled = True
            self._record(None)

    def __enter__(self) -> "Call":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.secrets and isinstance(error, ModelyardError):
            error.hide(self.secrets)
        if not self._settled:
            self._record(error)

    def _record(self, error: BaseException | None) -> None:
        outcome, code = _outcome(error)
        vendor = self.route.vendor
        prompt, response, estimated = self._tokens(outcome)
        total = self._clock.monotonic() - self._started
        first_byte = total if self._first_byte is None and outcome is Outcome.OK else self._first_byte
        self.record = UsageRecord(
            f"{_random():032x}",
            self._started_at,
            self.request_id,
            self.account_id,
            self.caller.key_id,
            self.caller.identity_id,
            self._asked.deployment_id,
            self._asked.model_id,
            self._asked.model_name,
            self.verb,
            outcome,
            code,
            prompt,
            response,
            estimated,
            first_byte,
            total,
            self.cached_tokens,
            self.reasoning_tokens,
            None if vendor is None else vendor.vendor.value,
            None if vendor is None else vendor.model,
            None,
            None if self.route.deployment_id == self._asked.deployment_id else self.route.deployment_id,
            self.admitted.reserved,
            self.admitted.gateway_id,
            self.trace,
        )
        self._sink.record(self.record)

    def _tokens(self, outcome: Outcome) -> tuple[int, int, bool]:
        prompt, response = self.prompt_tokens, self.response_tokens
        if prompt is not None and response is not None:
            return prompt, response, False
        worked = self.sent and (outcome is not Outcome.ERROR or self.begun)
        if self.request is None or not worked:
            return prompt or 0, response or 0, False
        if prompt is None:
            prompt = estimate_request(self.request)
        return prompt, self.estimated_response if response is None else response, True


def _outcome(error: BaseException | None) -> tuple[Outcome, str | None]:
    if error is None:
        return Outcome.OK, None
    if isinstance(error, asyncio.CancelledError | ClientGone):
        return Outcome.CANCELLED, None
    return Outcome.ERROR, error.code if isinstance(error, ModelyardError) else ModelyardError.code


def estimate_request(request: NativeRequest) -> int:
    """Roughly how many tokens a request's input has."""
    if isinstance(request, ChatRequest):
        return estimate(request.messages) + tool_tokens(request.tools)
    if isinstance(request, CompletionRequest):
        return sum(map(estimate_text, request.prompts))
    if isinstance(request, EmbeddingRequest):
        return sum(map(estimate_text, request.texts))
    return sum(estimate_text(request.query) + estimate_text(chunk) for chunk in request.chunks)
