"""The process beside the gateway: bounded in time and memory, replaced when it hangs or dies."""

import asyncio
from collections.abc import AsyncIterator

import psutil
import pytest

from modelyard.errors import InvalidRequest
from modelyard.gateway import rouge as rouge_module
from modelyard.gateway.rouge import Rouge, Task
from modelyard.gateway.side_process import Died, SideProcess, TooLong

MODULE = "modelyard.gateway.rouge_process"
SMALL = Task("the cat", ["the cat sat", "a dog"], "rouge1", "recall")


@pytest.fixture
async def rouge() -> AsyncIterator[Rouge]:
    made = Rouge()
    yield made
    await made.aclose()


def children() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if MODULE in " ".join(each.cmdline())]


async def test_nothing_runs_until_it_is_asked(rouge: Rouge) -> None:
    assert children() == []
    assert await rouge.scores(SMALL) == [1, 0]
    assert len(children()) == 1
    assert await rouge.scores(SMALL) == [1, 0]
    assert len(children()) == 1, "the same one answers again"
    await rouge.aclose()
    assert children() == []


async def test_what_takes_too_long_is_refused_and_the_next_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rouge_module, "SECONDS", 0.2)
    rouge = Rouge()
    long = " ".join(str(number) for number in range(4000))
    with pytest.raises(InvalidRequest, match="takes longer than") as caught:
        await rouge.scores(Task(long, [long] * 50, "rougeL", "recall"))
    assert caught.value.code == "ranking_too_large"
    monkeypatch.setattr(rouge_module, "SECONDS", 30)
    again = Rouge()
    assert await again.scores(SMALL) == [1, 0]
    await again.aclose()
    await rouge.aclose()
    assert children() == []


async def test_what_wants_too_much_memory_is_refused_and_the_next_is_not(rouge: Rouge) -> None:
    # A table of 20 000 times 20 000 numbers.
    long = " ".join(["word"] * 20_000)
    with pytest.raises(InvalidRequest) as caught:
        await rouge.scores(Task(long, [long], "rougeL", "recall"))
    assert caught.value.code == "ranking_too_large"
    assert await rouge.scores(SMALL) == [1, 0]


async def test_one_that_is_killed_is_replaced(rouge: Rouge) -> None:
    await rouge.scores(SMALL)
    (process,) = children()
    process.kill()
    process.wait(10)
    # Until its end is noticed, a task may still be given to it.
    for _ in range(2):
        try:
            assert await rouge.scores(SMALL) == [1, 0]
            break
        except InvalidRequest:
            continue
    assert [each.pid for each in children()] != [process.pid]
    assert await rouge.scores(SMALL) == [1, 0]


async def test_a_task_that_is_given_up_leaves_no_answer_for_the_next() -> None:
    process = SideProcess(MODULE, 30, 1024)
    rouge = Rouge()
    rouge._process = process
    long = " ".join(str(number) for number in range(2000))
    task = asyncio.create_task(rouge.scores(Task(long, [long] * 50, "rougeL", "recall")))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await rouge.scores(SMALL) == [1, 0]
    await rouge.aclose()


async def test_what_is_no_task_ends_it() -> None:
    process = SideProcess(MODULE, 30, 1024)
    with pytest.raises(Died):
        await process.ask(b"no json")
    quick = SideProcess(MODULE, 0.000_001, 1024)
    with pytest.raises(TooLong):
        await quick.ask(b"{}")
    await process.aclose()
    await quick.aclose()
    assert children() == []
