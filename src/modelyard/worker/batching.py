"""Dynamic batching: texts of many requests are computed together, on one engine thread.

A batch starts as soon as the engine is free; nothing ever waits for company. Requests take turns: the next
batch is built around the longest text left of the request whose turn it is, and filled with the texts next
to it in length, whoever asked for them. So a large request never makes a small one wait for more than a batch
for each request before it, and texts that share a batch share its padding.
"""

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog

from modelyard.engines.base import Tokens
from modelyard.errors import EngineError, ModelyardError, Unavailable

log = structlog.get_logger(__name__)

R = TypeVar("R")

SHORT = 32
"""Tokens below which padding costs less than another batch."""


@dataclass(slots=True, eq=False)
class _Request(Generic[R]):
    """One caller's texts. ``left`` are their places, by length; the longest is at the end."""

    texts: Sequence[Tokens]
    left: list[int]
    results: list[R | None]
    done: asyncio.Future[None]
    missing: int
    keys: list[tuple[int, int]]
    """(length, sequence) of each text, by its place."""


class Batcher(Generic[R]):
    """Runs ``compute`` on batches of texts.

    ``compute`` gets up to ``batch_size`` texts and gives one result for each, in order; it is called on
    ``engine_thread`` only. At most ``limit`` texts wait; more are refused with `Unavailable`.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[Tokens]], Iterable[R]],
        engine_thread: Executor,
        *,
        batch_size: int,
        limit: int = 65_536,
    ) -> None:
        self._compute = compute
        self._thread = engine_thread
        self._batch_size = batch_size
        self._limit = limit
        self._turns: deque[_Request[R]] = deque()
        self._waiting: list[tuple[int, int]] = []
        self._owners: dict[int, tuple[_Request[R], int]] = {}
        self._sequence = 0
        self._loop_task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Texts that no batch has taken yet."""
        return len(self._waiting)

    async def run(self, texts: Sequence[Tokens]) -> list[R]:
        """Results for ``texts``, in their order. Cancelling it takes its waiting texts out of the queue; an
        error of a batch is raised to every request that had a text in it, and to no other."""
        if not texts:
            return []
        if self._waiting and len(self._waiting) + len(texts) > self._limit:
            raise Unavailable("The worker has too many texts waiting.", retry_after=1, code="worker_busy")
        request = self._enqueue(texts)
        if self._loop_task is None:
            self._loop_task = asyncio.create_task(self._work())
        try:
            await request.done
        finally:
            self._forget(request)
        return request.results  # type: ignore[return-value]  # done: nothing is missing

    def _enqueue(self, texts: Sequence[Tokens]) -> _Request[R]:
        order = sorted(range(len(texts)), key=lambda place: len(texts[place].ids))
        request = _Request[R](
            texts=texts,
            left=order,
            results=[None] * len(texts),
            done=asyncio.get_running_loop().create_future(),
            missing=len(texts),
            keys=[(0, 0)] * len(texts),
        )
        for place in order:
            self._sequence += 1
            key = (len(texts[place].ids), self._sequence)
            request.keys[place] = key
            self._owners[self._sequence] = (request, place)
        self._waiting.extend(request.keys[place] for place in order)
        self._waiting.sort()  # two sorted runs: a merge
        self._turns.append(request)
        return request

    def _forget(self, request: _Request[R]) -> None:
        """Take what is left of a request out of the queue."""
        gone = {key for place in request.left if (key := request.keys[place])[1] in self._owners}
        request.left = []
        if gone:
            self._waiting = [key for key in self._waiting if key not in gone]
            for _, sequence in gone:
                del self._owners[sequence]

    def _next_batch(self) -> list[tuple[_Request[R], int]]:
        """The texts of the next batch, taken out of the queue; empty when nothing waits."""
        while self._turns:
            request = self._turns.popleft()
            while request.left and request.keys[request.left[-1]][1] not in self._owners:
                request.left.pop()
            if not request.left:
                continue
            self._turns.append(request)
            start, end = self._window(request.keys[request.left[-1]])
            taken = self._waiting[start:end]
            del self._waiting[start:end]
            return [self._owners.pop(sequence) for _, sequence in taken]
        return []

    def _window(self, around: tuple[int, int]) -> tuple[int, int]:
        """Which of the waiting texts, by length, to compute with one of them: shorter ones first, so that a
        request is worked off from its longest text down; none is padded to more than twice its length."""
        end = bisect_left(self._waiting, around) + 1
        start = max(0, end - self._batch_size)
        while around[0] > SHORT and 2 * self._waiting[start][0] < around[0]:
            start += 1
        most = max(SHORT, 2 * self._waiting[start][0])
        while end < len(self._waiting) and end - start < self._batch_size and self._waiting[end][0] <= most:
            end += 1
        return start, end

    async def _work(self) -> None:
        while batch := self._next_batch():
            error = await self._try(batch)
            if error is not None:
                # Whose fault it is shows only when each request's texts are computed by themselves.
                alone = {id(request): [item for item in batch if item[0] is request] for request, _ in batch}
                for texts in alone.values():
                    reason = error if len(alone) == 1 else await self._try(texts)
                    if reason is not None:
                        _fail(texts[0][0], reason)
        self._loop_task = None

    async def _try(self, batch: Sequence[tuple[_Request[R], int]]) -> Exception | None:
        """Compute a batch and hand out its results, or say what went wrong."""
        texts = [request.texts[place] for request, place in batch]
        try:
            results = await asyncio.get_running_loop().run_in_executor(self._thread, self._compute, texts)
            for (request, place), result in zip(batch, results, strict=True):
                _settle(request, place, result)
        except Exception as error:
            if not isinstance(error, ModelyardError):
                log.exception("batch failed", texts=len(batch))
            return error
        return None


def _settle(request: _Request[R], place: int, result: R) -> None:
    request.results[place] = result
    request.missing -= 1
    if request.missing == 0 and not request.done.done():
        request.done.set_result(None)


def _fail(request: _Request[Any], error: Exception) -> None:
    if request.done.done():
        return
    if not isinstance(error, ModelyardError):
        reason = EngineError(f"The engine failed: {error}")
        reason.__cause__ = error
        error = reason
    request.done.set_exception(error)
