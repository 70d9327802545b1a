"""API keys on the wire; all of it is ours."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, Strict

from modelyard.domain.accounts import IdentityType, KeyKind, Role
from modelyard.domain.rights import KeyScope
from modelyard.http.api.wire.accounts import Grantable
from modelyard.http.api.wire.common import Answer, Body, Id, ListQuery, Name

MAX_GRACE_SECONDS = 30 * 24 * 3600
Scopes = Annotated[list[Literal["inference", "read", "write", "admin"]], Field(min_length=1, max_length=4)]
Models = Annotated[list[Name], Field(min_length=1, max_length=100)]
End = Annotated[AwareDatetime, Strict(False)]


class KeyCreate(Body):
    name: Name
    identity_id: Id | None = None
    """Whose key it is: ``me``, or a service account's id. Not given: that of a new service account."""
    account_id: Id | None = None
    """Where the new service account goes."""
    role: Grantable | None = None
    """What the new service account may do; ``member`` where it is not given."""
    expires_at: End | None = None
    """With a time zone, as in 2027-01-01T00:00:00Z."""
    scopes: Scopes | None = None
    """What the key is narrowed to. Not given: all that its holder may."""
    models: Models | None = None
    """Ids or names of the models and deployments that it may call. Not given: any."""


class KeyChange(Body):
    name: Name | None = None
    expires_at: End | None = None
    scopes: Scopes | None = None
    models: Models | None = None


class KeyRotate(Body):
    grace_seconds: Annotated[int, Field(ge=0, le=MAX_GRACE_SECONDS)] = 24 * 3600
    """For how long the secret until now stays valid; 0 ends every earlier one at once."""


class KeyQuery(ListQuery):
    account_id: Id | None = None
    """Only the keys of this account's members."""
    identity_id: Id | None = None
    """Only this identity's; ``me`` is your own."""


class KeyMembership(Answer):
    account_id: str
    role: Role


class KeyAnswer(Answer):
    id: str
    """Stays when the key is rotated."""
    name: str
    prefix: str
    """How the key begins."""
    kind: KeyKind
    """``session``: made by signing in."""
    identity_id: str
    identity_type: IdentityType
    memberships: list[KeyMembership]
    scopes: list[KeyScope] | None
    models: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    """To within a minute; null: never."""


class KeyCreated(KeyAnswer):
    key: str
    """The key itself, shown this once."""
