"""Who acts: set once around a call of the control API, read where its transactions write.

A context variable, as loggers have them: so nobody can forget to hand the author on, and no change of a new noun goes
unrecorded. Work that runs on its own (the reconciler's steps, calls of models) has no actor and leaves no entry.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime

from modelyard.domain.audit import Actor


@dataclass(frozen=True, slots=True)
class Acting:
    actor: Actor
    now: Callable[[], datetime]


_acting: ContextVar[Acting | None] = ContextVar("modelyard_acting", default=None)


@contextlib.contextmanager
def acting(actor: Actor, now: Callable[[], datetime]) -> Iterator[None]:
    """What is written inside the block is written down as done by ``actor``."""
    token = _acting.set(Acting(actor, now))
    try:
        yield
    finally:
        _acting.reset(token)


def current() -> Acting | None:
    return _acting.get()
