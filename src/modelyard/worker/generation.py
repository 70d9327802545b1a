"""Engines that generate text, or do anything else one call at a time, behind asyncio."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, TypeVar

import structlog

from modelyard.domain.inference import (
    AssistantMessage,
    ChatRequest,
    ChatResult,
    Chunk,
    CompletionRequest,
    CompletionResult,
    TokenLogprob,
)
from modelyard.engines.base import Executes, Generates
from modelyard.errors import EngineError, ModelyardError, Unavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")

WAITING_PER_THREAD = 64
"""Calls that may wait for each thread before more are refused."""


class EngineThreads:
    """As many threads as the engine has ``concurrency``; calls wait for a free one, in order."""

    def __init__(self, concurrency: int) -> None:
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="engine")
        self._limit = concurrency * (1 + WAITING_PER_THREAD)
        self._calls = 0

    async def execute(self, engine: Executes, body: Any) -> Any:
        return await self._run(lambda: engine.execute(body))

    async def pieces(self, engine: Generates, request: ChatRequest | CompletionRequest) -> AsyncIterator[Chunk]:
        """The chunks of one text as they are made. Closing the iterator stops the engine at its next piece."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[Chunk | None] = asyncio.Queue()
        stop = threading.Event()

        def produce() -> None:
            chunks = engine.generate(request)
            try:
                while not stop.is_set() and (chunk := next(chunks, None)) is not None:
                    loop.call_soon_threadsafe(queue.put_nowait, chunk)
            finally:
                close = getattr(chunks, "close", None)
                if close is not None:
                    close()

        work = asyncio.ensure_future(self._run(produce))
        work.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (chunk := await queue.get()) is not None:
                yield chunk
            await work
        finally:
            stop.set()
            if not work.done():
                work.cancel()

    async def _run(self, function: Callable[[], T]) -> T:
        if self._calls >= self._limit:
            raise Unavailable("The worker has too many calls waiting.", retry_after=1, code="worker_busy")
        self._calls += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, function)
        except ModelyardError:
            raise
        except Exception as error:
            log.exception("engine failed")
            raise EngineError(f"The engine failed: {error}") from error
        finally:
            self._calls -= 1


async def _fold(chunks: AsyncIterator[Chunk]) -> tuple[str, list[TokenLogprob] | None, Chunk]:
    """The whole text, its log-probabilities, and the last chunk."""
    texts: list[str] = []
    logprobs: list[TokenLogprob] | None = None
    last = Chunk()
    async for chunk in chunks:
        texts.append(chunk.text)
        if chunk.logprobs is not None:
            logprobs = (logprobs or []) + chunk.logprobs
        last = chunk
    return "".join(texts), logprobs, last


async def chat(threads: EngineThreads, engine: Generates, request: ChatRequest) -> ChatResult:
    async with aclosing(threads.pieces(engine, request)) as chunks:  # type: ignore[type-var]
        text, logprobs, last = await _fold(chunks)
    return ChatResult(
        AssistantMessage(text), last.finish_reason, last.prompt_tokens, last.response_tokens, logprobs=logprobs
    )


async def complete(threads: EngineThreads, engine: Generates, request: CompletionRequest) -> CompletionResult:
    """Every prompt, one after the other; counts add up, ``length`` of one is ``length`` of all."""
    completions: list[tuple[str, list[str]]] = []
    reasons: list[str | None] = []
    prompt_tokens = response_tokens = 0
    logprobs: list[TokenLogprob] | None = None
    for prompt in request.prompts:
        async with aclosing(threads.pieces(engine, _single(request, prompt))) as chunks:  # type: ignore[type-var]
            text, logprobs, last = await _fold(chunks)
        completions.append((prompt, [text]))
        reasons.append(last.finish_reason)
        prompt_tokens += last.prompt_tokens or 0
        response_tokens += last.response_tokens or 0
    reason = "length" if "length" in reasons else reasons[-1]
    one = len(completions) == 1
    return CompletionResult(completions, reason, prompt_tokens, response_tokens, logprobs if one else None)


def _single(request: CompletionRequest, prompt: str) -> CompletionRequest:
    return CompletionRequest(
        **{name: getattr(request, name) for name in request.__struct_fields__ if name != "prompts"}, prompts=[prompt]
    )
