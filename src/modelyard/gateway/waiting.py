"""Calls that wait for a place on a worker, in a fair order: keys take turns, and calls of one key keep theirs."""

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import zip_longest
from typing import Generic, TypeVar

T = TypeVar("T")


class Waiter(Generic[T]):
    """One waiting call; ``granted`` is what it waits for."""

    __slots__ = ("excluded", "granted", "key")

    def __init__(self, key: str, excluded: frozenset[str]) -> None:
        self.key = key
        self.excluded = excluded
        self.granted: asyncio.Future[T] = asyncio.get_running_loop().create_future()


class FairQueue(Generic[T]):
    """The waiting calls of one deployment. Whose turn it is: the key that was served least recently."""

    __slots__ = ("_by_key", "_length")

    def __init__(self) -> None:
        self._by_key: dict[str, deque[Waiter[T]]] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, waiter: Waiter[T]) -> None:
        self._by_key.setdefault(waiter.key, deque()).append(waiter)
        self._length += 1

    def discard(self, waiter: Waiter[T]) -> None:
        """Take it out, if it is still in."""
        queue = self._by_key.get(waiter.key)
        if queue is None or waiter not in queue:
            return
        queue.remove(waiter)
        self._length -= 1
        if not queue:
            del self._by_key[waiter.key]

    def in_turn(self) -> Iterator[Waiter[T]]:
        """Those still waiting: the first of every key, then the second of every key, and so on."""
        for round_ in zip_longest(*self._by_key.values()):
            for waiter in round_:
                if waiter is not None and not waiter.granted.done():
                    yield waiter

    def served(self, key: str) -> None:
        """It is the others' turn now."""
        if (queue := self._by_key.pop(key, None)) is not None:
            self._by_key[key] = queue

    def displaced_by(self, key: str) -> Waiter[T] | None:
        """Who gives way in a full queue to one more call of ``key``: the newest call of the key with the most of
        them, where that has at least two more than ``key``. None: the newcomer is no worse off than others."""
        most = max(self._by_key.values(), key=len)
        if len(most) < len(self._by_key.get(key, ())) + 2:
            return None
        return next((waiter for waiter in reversed(most) if not waiter.granted.done()), None)
