"""Revisions of a deployment on the wire; all of it is our own."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from modelyard.described import Described
from modelyard.domain.accounts import IdentityType
from modelyard.domain.revisions import RevisionState
from modelyard.http.api.wire.common import MAX_LIMIT, MAX_PAGE, Answer, Body


class RevisionQuery(Described):
    """Query parameters are text, so numbers are read from it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    page: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 1
    """The page to give, from 1."""
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 100
    """Items on a page."""


class ChangeAnswer(Answer):
    field: str
    """As in ``bundle.env.NAME`` or ``parameters.context_length``."""
    before: Any
    """null where it was not there; values whose name sounds like a secret's are masked."""
    after: Any


class RevisionAnswer(Answer):
    """What a deployment was made of at one time."""

    number: int
    revision: str
    """Fingerprint, as in ``status_detail.revision``. Going back makes a new entry with an earlier one's."""
    state: RevisionState
    why: str
    created_at: datetime
    created_by_user_id: str
    created_by_identity_type: IdentityType
    ready_at: datetime | None
    """When a worker of it was ready for the first time; null: never."""
    changes: list[ChangeAnswer]
    """Against the entry before; nothing for the first."""


class Rollback(Body):
    revision: Annotated[int, Field(ge=1)] | Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """Number or fingerprint; the last good one before the present where it is left out."""
    wait_for_ready: bool = True
    """Whether to answer only when the deployment is READY, or when it is known to have failed."""
