"""The audit log on the wire; all of it is ours."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from modelyard.http.api.wire.common import Answer, Id, ListQuery

Moment = Annotated[str, StringConstraints(min_length=8, max_length=64), Field(examples=["2026-11-01T00:00:00Z"])]
Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class AuditQuery(ListQuery):
    actor_id: Id | None = None
    """Only what this identity did."""
    key_id: Id | None = None
    """Only what was done with this key."""
    entity_type: Word | None = None
    """Only what was done to entities of this kind, as in ``model``."""
    entity_id: Id | None = None
    action: Word | None = None
    """As in ``created``."""
    request_id: Id | None = None
    start_date: Moment | None = None
    """ISO 8601; without a time zone it is UTC. Entries of this moment are included."""
    end_date: Moment | None = None
    """Entries of this moment are not included."""


class AuditActor(Answer):
    identity_id: str
    identity_type: str
    """``user``, ``service_account``, or ``system``: the server itself."""
    key_id: str
    """The key, or the session, that it was done with."""


class AuditAnswer(Answer):
    id: str
    """Counts up."""
    created_at: datetime
    account_id: str | None
    """null: the installation itself."""
    actor: AuditActor
    action: str
    entity_type: str
    entity_id: str
    before: dict[str, Any] | None
    """The fields that changed, as they were; null where it was made."""
    after: dict[str, Any] | None
    """The same fields as they are now; null where it was deleted."""
    request_id: str
