"""Changes that met another change of the same thing."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from modelyard.errors import Conflict

MET = "changed_meanwhile"
"""The code of the store's `Conflict` for a lost race."""

_TRIES = 5

E = TypeVar("E")


async def until_unmet(change: Callable[[], Awaitable[E]]) -> E:
    """``change``, which reads and writes in one transaction, once more where somebody else wrote in between: it
    then sees what they wrote."""
    for _ in range(_TRIES - 1):
        try:
            return await change()
        except Conflict as error:
            if error.code != MET:
                raise
    return await change()
