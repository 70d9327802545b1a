"""People, accounts and keys on the wire: the official client's ``user_info``; keys are ours."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, Strict

from modelyard.domain.accounts import IdentityType, Role
from modelyard.http.api.wire.common import MAX_LIMIT, MAX_PAGE, Answer, Body, Id, Name


class AccountAnswer(Answer):
    id: str
    name: str
    status: str
    organization_id: str | None = None


class IdentityAnswer(Answer):
    id: str
    type: IdentityType
    object: Literal["identity"] = "identity"


class AccessProfile(Answer):
    id: str
    account: AccountAnswer
    identity: IdentityAnswer
    role: Role


class UserAnswer(Answer):
    id: str
    email: str
    access_profiles: list[AccessProfile]
    first_name: str | None
    last_name: str | None
    is_deployment_admin: bool
    is_organization_admin: bool
    organization_id: str | None = None
    preferences: dict[str, str] = Field(default_factory=dict)


class AccountCreate(Body):
    account_name: Name


class AccountCreated(Answer):
    account_id: str


class KeyCreate(Body):
    name: Name
    account_id: Id | None = None
    role: Annotated[Literal["admin", "manager", "editor", "member", "viewer", "labeler"], Field()] = "member"
    expires_at: Annotated[AwareDatetime, Strict(False)] | None = None


class KeyQuery(Body):
    page: Annotated[int, Field(strict=False, ge=1, le=MAX_PAGE)] = 1
    limit: Annotated[int, Field(strict=False, ge=1, le=MAX_LIMIT)] = 100
    account_id: Id | None = None
    """Only the keys of this account's members."""


class KeyMembership(Answer):
    account_id: str
    role: Role


class KeyAnswer(Answer):
    id: str
    name: str
    prefix: str
    """How the key begins."""
    identity_id: str
    identity_type: IdentityType
    memberships: list[KeyMembership]
    created_at: datetime
    expires_at: datetime | None


class KeyCreated(KeyAnswer):
    key: str
    """The key itself, shown this once."""
