"""Model servers: a stable name in front of deployments, which may be swapped behind it."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from modelyard.domain.accounts import IdentityType

MAX_BACKENDS = 10
MAX_WEIGHT = 1_000_000
KEPT_EARLIER = 20
"""How many times one can go back."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A deployment, and its share of the calls: its weight by the sum of all weights. 0: it gets none."""

    deployment_id: str
    weight: int = 1


Backends = tuple[Backend, ...]


def main_of(backends: Backends) -> str:
    """The deployment with the largest share; the first of those with equal ones."""
    return max(backends, key=lambda backend: backend.weight).deployment_id


@dataclass(frozen=True, slots=True)
class ModelServer:
    id: str
    account_id: str
    created_at: datetime
    created_by_user_id: str
    created_by_identity_type: IdentityType
    name: str
    alias: str | None
    backends: Backends
    """One at least."""
    earlier: tuple[Backends, ...] = ()
    """What was behind it before, newest last."""
    fallbacks: tuple[str, ...] = ()
    """Ids of the deployments that answer, in this order, where none of those behind it can."""

    @property
    def main(self) -> str:
        """`main_of` its backends: the one that clients are told of."""
        return main_of(self.backends)


def swapped(server: ModelServer, backends: Backends) -> ModelServer:
    """``server`` with other backends, those of now being the last of the earlier ones."""
    if backends == server.backends:
        return server
    return replace(server, backends=backends, earlier=(*server.earlier, server.backends)[-KEPT_EARLIER:])


def rolled_back(server: ModelServer, there: Collection[str]) -> ModelServer | None:
    """``server`` as it was before its last swap, or before an earlier one where not all of those backends are
    ``there`` any more; None where there is nothing to go back to. What it leaves is not kept: going back once more
    leads further back."""
    for position in range(len(server.earlier) - 1, -1, -1):
        backends = server.earlier[position]
        if all(backend.deployment_id in there for backend in backends):
            return replace(server, backends=backends, earlier=server.earlier[:position])
    return None
