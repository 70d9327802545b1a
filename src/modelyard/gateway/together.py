"""Several requests that make one call: sent side by side, all or none."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from modelyard.errors import ModelyardError

A = TypeVar("A")
R = TypeVar("R")

AT_ONCE = 8
"""Requests of one call that are under way at the same time: the others' calls want places too."""


async def together(ask: Callable[[A], Awaitable[R]], items: Sequence[A]) -> list[R]:
    """What ``ask`` gives for each of ``items``, in their order. The first failure ends the others and is raised."""
    if len(items) == 1:
        return [await ask(items[0])]
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: A) -> R:
        async with gate:
            return await ask(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
    except* ModelyardError as errors:
        raise _first(errors) from errors
    return [task.result() for task in tasks]


def _first(errors: "BaseExceptionGroup[ModelyardError]") -> ModelyardError:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
