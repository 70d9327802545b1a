"""Batches of texts of many requests, with an engine that computes when the test lets it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from modelyard.engines.base import Tokens
from modelyard.errors import EngineError, Unavailable
from modelyard.worker.batching import Batcher


class HandExecutor(Executor):
    """Runs what was submitted when it is told to, one call at a time."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Any, tuple[Any, ...]]] = []

    def submit(self, fn: Any, /, *args: Any, **_: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, fn, args))
        return future

    async def step(self) -> None:
        """Compute one batch, and let everyone notice."""
        future, fn, args = self.waiting.pop(0)
        try:
            future.set_result(fn(*args))
        except Exception as error:
            future.set_exception(error)
        await settle()

    async def run_dry(self) -> int:
        steps = 0
        while self.waiting:
            await self.step()
            steps += 1
        return steps


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Engine:
    """The result for a text is its first token's id; a text of -1 fails its batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __call__(self, batch: Sequence[Tokens]) -> list[int]:
        self.batches.append([text.ids[0] for text in batch])
        if any(text.ids[0] == -1 for text in batch):
            raise EngineError("poisoned")
        return [text.ids[0] for text in batch]


def text(id_: int, length: int = 1) -> Tokens:
    return Tokens([id_] * length, [0] * length)


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
async def hand() -> AsyncIterator[HandExecutor]:
    executor = HandExecutor()
    yield executor
    await executor.run_dry()


async def test_results_come_in_the_order_asked(engine: Engine, hand: HandExecutor) -> None:
    batcher = Batcher[int](engine, hand, batch_size=3)
    lengths = [5, 1, 9, 3, 7, 2, 8]
    task = asyncio.create_task(batcher.run([text(n, length) for n, length in enumerate(lengths)]))
    await settle()
    await hand.run_dry()
    assert await task == list(range(7))


async def test_texts_of_like_length_share_a_batch(engine: Engine, hand: HandExecutor) -> None:
    batcher = Batcher[int](engine, hand, batch_size=3)
    task = asyncio.create_task(batcher.run([text(n, n) for n in (60, 10, 58, 11, 59, 12)]))
    await settle()
    await hand.run_dry()
    await task
    assert [sorted(batch) for batch in engine.batches] == [[58, 59, 60], [10, 11, 12]]


async def test_short_texts_are_not_padded_to_far_longer_ones(engine: Engine, hand: HandExecutor) -> None:
    batcher = Batcher[int](engine, hand, batch_size=8)
    task = asyncio.create_task(batcher.run([text(200, 200), text(5, 5), text(6, 6), text(190, 190)]))
    await settle()
    await hand.run_dry()
    await task
    assert [sorted(batch) for batch in engine.batches] == [[190, 200], [5, 6]]


async def test_a_batch_starts_at_once_and_later_texts_join_the_next(engine: Engine, hand: HandExecutor) -> None:
    batcher = Batcher[int](engine, hand, batch_size=8)
    first = asyncio.create_task(batcher.run([text(1)]))
    await settle()
    assert len(hand.waiting) == 1
    others = [asyncio.create_task(batcher.run([text(n)])) for n in (2, 3, 4)]
    await settle()
    assert len(hand.waiting) == 1  # the engine is busy
    assert await hand.run_dry() == 2
    assert [await task for task in (first, *others)] == [[1], [2], [3], [4]]
    assert [sorted(batch) for batch in engine.batches] == [[1], [2, 3, 4]]


async def test_a_small_request_does_not_wait_for_a_large_one(engine: Engine, hand: HandExecutor) -> None:
    batcher = Batcher[int](engine, hand, batch_size=4)
    large = asyncio.create_task(batcher.run([text(n, 100 + n) for n in range(40)]))
    await settle()
    small = asyncio.create_task(batcher.run([text(99, 3)]))
    await settle()
    steps = 0
    while not small.done():
        await hand.step()
        steps += 1
    assert steps <= 3
    assert not large.done()
    await hand.run_dry()
    assert await large == list(range(40))


async def test_a_failing_text_fails_its_own_request_alone(engine: Engine, hand: HandExecutor) -> None:
    batcher = Batcher[int](engine, hand, batch_size=8)
    busy = asyncio.create_task(batcher.run([text(0)]))
    await settle()
    good = asyncio.create_task(batcher.run([text(1), text(2)]))
    bad = asyncio.create_task(batcher.run([text(-1), text(3)]))
    await settle()
    await hand.run_dry()
    assert await busy == [0]
    assert await good == [1, 2]
    with pytest.raises(EngineError, match="poisoned"):
        await bad


async def test_after_a_failure_work_goes_on(engine: Engine, hand: HandExecutor) -> None:
    batcher = Batcher[int](engine, hand, batch_size=8)
    bad = asyncio.create_task(batcher.run([text(-1)]))
    await settle()
    await hand.run_dry()
    with pytest.raises(EngineError):
        await bad
    good = asyncio.create_task(batcher.run([text(5)]))
    await settle()
    await hand.run_dry()
    assert await good == [5]


async def test_an_engine_that_gives_too_few_results_fails_the_request(hand: HandExecutor) -> None:
    batcher = Batcher[int](lambda batch: [1], hand, batch_size=8)
    task = asyncio.create_task(batcher.run([text(1), text(2)]))
    await settle()
    await hand.run_dry()
    with pytest.raises(EngineError, match="The engine failed"):
        await task


async def test_a_cancelled_request_leaves_the_queue(engine: Engine, hand: HandExecutor) -> None:
    batcher = Batcher[int](engine, hand, batch_size=2)
    task = asyncio.create_task(batcher.run([text(n) for n in range(100)]))
    await settle()
    assert batcher.waiting == 98
    task.cancel()
    await settle()
    assert batcher.waiting == 0
    other = asyncio.create_task(batcher.run([text(7)]))
    await settle()
    await hand.run_dry()
    assert await other == [7]
    assert len(engine.batches) == 2


async def test_what_is_too_much_is_refused_at_once(engine: Engine, hand: HandExecutor) -> None:
    batcher = Batcher[int](engine, hand, batch_size=1, limit=3)
    waiting = [asyncio.create_task(batcher.run([text(0)]))]
    await settle()  # the engine has it
    waiting += [asyncio.create_task(batcher.run([text(n)])) for n in range(1, 4)]
    await settle()
    with pytest.raises(Unavailable) as caught:
        await batcher.run([text(9)])
    assert caught.value.code == "worker_busy"
    await hand.run_dry()
    assert [await task for task in waiting] == [[0], [1], [2], [3]]


async def test_nothing_in_nothing_out(engine: Engine, hand: HandExecutor) -> None:
    assert await Batcher[int](engine, hand, batch_size=8).run([]) == []
    assert engine.batches == []
