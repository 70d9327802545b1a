"""Model servers on the wire: the official client's ``model_server_create_params`` and ``model_server_info``."""

from datetime import datetime
from typing import Annotated

from pydantic import MISSING, AfterValidator, ConfigDict, Field, StringConstraints, model_validator

from modelyard.described import Described
from modelyard.domain.accounts import IdentityType
from modelyard.domain.servers import MAX_BACKENDS, MAX_WEIGHT
from modelyard.http.api.wire.common import MAX_LIMIT, MAX_PAGE, Answer, Body, Fallbacks, Id, Name


def _not_a_path(alias: str) -> str:
    # GET /v4/serving/a/execute would be taken for the call of a server with the id "a".
    if alias == "execute":
        raise ValueError("'execute' is a word of the paths; choose another alias")
    return alias


Alias = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"),
    AfterValidator(_not_a_path),
]
"""Letters, digits, dots, dashes and underscores: it stands in paths."""


class ServerCreate(Body):
    account_id: Id | None = None
    """Ours: for a built-in deployment, where the key belongs to several accounts."""
    name: Name
    model_deployment_id: Id
    alias: Alias | None = None
    fallbacks: Fallbacks | None = None
    """Ours: ids or names of deployments that answer, in this order, where none behind the server can."""


class BackendGiven(Body):
    model_deployment_id: Id
    weight: Annotated[int, Field(ge=0, le=MAX_WEIGHT)] = 1


class ServerChange(Body):
    """Ours. Only what is sent changes; null takes the alias away."""

    name: Name | MISSING = MISSING
    alias: Alias | None = None
    backends: Annotated[list[BackendGiven], Field(min_length=1, max_length=MAX_BACKENDS)] | MISSING = MISSING
    """All that calls are shared among from now on, by weight."""
    fallbacks: Fallbacks | None = None
    """As a whole; null or an empty list: none any more."""

    @model_validator(mode="after")
    def _shares(self) -> "ServerChange":
        if isinstance(self.backends, list):
            ids = [backend.model_deployment_id for backend in self.backends]
            if len(set(ids)) < len(ids):
                raise ValueError("backends names a deployment twice; give it once, with the sum of its weights")
            if not any(backend.weight for backend in self.backends):
                raise ValueError("backends have no weight at all; give one of them a weight above 0")
        return self


class BackendChange(Body):
    new_model_deployment_id: Id


class ServerQuery(Described):
    """Query parameters are text, so numbers are read from it."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    page: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 1
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = MAX_LIMIT
    """The official client asks for no pages of this list, so one is as long as can be."""
    sort_by: Annotated[list[str], Field(max_length=20, default_factory=list)]
    """As in other lists."""
    account_id: Id | None = None


class BackendAnswer(Answer):
    model_deployment_id: str
    weight: int


class ServerAnswer(Answer):
    account_id: str
    model_server_id: str
    name: str
    alias: str | None
    model_deployment_id: str | None
    """The deployment with the largest share."""
    backends: list[BackendAnswer]
    """Ours: every deployment behind it, with its weight."""
    fallbacks: list[str]
    """Ours: ids of the deployments that answer, in this order, where none behind it can."""
    created_at: datetime
    created_by_user_id: str
    created_by_identity_type: IdentityType


class BackendChanged(ServerAnswer):
    new_model_deployment_id: str
    old_model_deployment_id: str | None


class CurrentDeployment(Answer):
    model_deployment_id: str


class RolledBack(Answer):
    from_deployment: str
    rolled_back_to_deployment: str
