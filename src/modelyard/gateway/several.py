"""Several texts that make one call: asked for side by side, metered once.

``requests`` are in the order of the answer's choices, the ``copies`` of each prompt next to each other.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence

from msgspec import UNSET

from modelyard.domain.history import estimate_answer, estimate_text
from modelyard.domain.inference import ChatRequest, ChatResult, Chunk, CompletionRequest, CompletionResult, TextRequest
from modelyard.errors import UpstreamError
from modelyard.gateway.adapters.streams import Counts
from modelyard.gateway.counting import total
from modelyard.gateway.metering import Call
from modelyard.gateway.service import Gateway
from modelyard.gateway.together import AT_ONCE, together

TextResult = ChatResult | CompletionResult
Numbered = list[tuple[int, Chunk]]
"""Chunks, each with the number of its text."""


async def whole(gateway: Gateway, call: Call, requests: Sequence[TextRequest], copies: int) -> list[TextResult]:
    """Every text, in the order of ``requests``; the first failure ends them all."""

    async def one(request: TextRequest) -> TextResult:
        if isinstance(request, ChatRequest):
            return await gateway.chat(call, request)
        return await gateway.complete(call, request)

    if len(requests) == 1:
        return [await one(requests[0])]
    call.parts = requests

    async def all_of_them() -> list[TextResult]:
        return await together(one, requests)

    # One deployment answers them all: where it cannot, the next one is asked for all of them.
    results = await (gateway.falling_back.ask(call, all_of_them) if call.route.fallbacks else all_of_them())
    call.estimated_response = sum(map(_estimated, results))
    _meter(call, requests, spent(call, [counts_of(result) for result in results], copies))
    return results


def streamed(
    gateway: Gateway, call: Call, requests: Sequence[TextRequest], copies: int
) -> AsyncGenerator[Numbered, None]:
    """Every text as it comes, pieces of all of them in turns. Close it early to stop the workers."""
    call.parts = requests
    if not call.route.fallbacks:
        return _merged(gateway, call, requests, copies)
    return gateway.falling_back.stream(call, lambda: _merged(gateway, call, requests, copies))


async def _merged(
    gateway: Gateway, call: Call, requests: Sequence[TextRequest], copies: int
) -> AsyncGenerator[Numbered, None]:
    queue: asyncio.Queue[tuple[int, list[Chunk] | Exception]] = asyncio.Queue(len(requests))
    gate = asyncio.Semaphore(AT_ONCE)

    async def pump(index: int, request: TextRequest) -> None:
        try:
            async with gate, contextlib.aclosing(gateway.stream(call, request)) as batches:
                async for chunks in batches:
                    await queue.put((index, chunks))
        except Exception as error:  # handed to whoever reads the texts
            await queue.put((index, error))
        else:
            await queue.put((index, []))

    tasks = [asyncio.create_task(pump(index, request)) for index, request in enumerate(requests)]
    ends: dict[int, Counts] = {}
    try:
        while len(ends) < len(requests):
            index, chunks = await queue.get()
            if isinstance(chunks, Exception):
                raise chunks
            if not chunks and index not in ends:
                raise UpstreamError("The worker's stream was empty.", code="upstream_cut_off")
            if chunks and chunks[-1].finish_reason is not None:
                ends[index] = counts_of(chunks[-1])
                if len(ends) == len(requests):
                    _meter(call, requests, spent(call, [ends[number] for number in range(len(requests))], copies))
            if chunks:
                yield [(index, chunk) for chunk in chunks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if len(ends) < len(requests):
            # What one text counted says nothing about the others: all of it is estimated then.
            call.prompt_tokens = call.response_tokens = None


def spent(call: Call, counts: Sequence[Counts], copies: int) -> Counts:
    """What all texts of a call come to, each prompt once however many copies were made of its answer, as OpenAI
    counts; but what a vendor was sent several times, it bills several times."""
    prompts = counts if call.route.vendor is not None else counts[::copies]
    return Counts(
        total([each.prompt for each in prompts]),
        total([each.response for each in counts]),
        total([each.cached for each in prompts]),
        total([each.reasoning for each in counts]),
    )


def counts_of(told: TextResult | Chunk) -> Counts:
    """What a whole answer, or the last chunk of one, says about tokens."""
    cached = None if told.cached_tokens is UNSET else told.cached_tokens
    reasoning = None if told.reasoning_tokens is UNSET else told.reasoning_tokens
    return Counts(told.prompt_tokens, told.response_tokens, cached, reasoning)


def _meter(call: Call, requests: Sequence[TextRequest], all_of_it: Counts) -> None:
    call.prompt_tokens, call.response_tokens = all_of_it.prompt, all_of_it.response
    call.cached_tokens, call.reasoning_tokens = all_of_it.cached or 0, all_of_it.reasoning or 0
    prompts = [prompt for request in requests if isinstance(request, CompletionRequest) for prompt in request.prompts]
    if prompts:
        call.request = CompletionRequest(prompts=prompts)


def _estimated(result: TextResult) -> int:
    if isinstance(result, ChatResult):
        return estimate_answer(result)
    return sum(estimate_text(text) for _, texts in result.completions for text in texts)
