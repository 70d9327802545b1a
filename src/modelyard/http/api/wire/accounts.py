"""People and accounts on the wire: the official client's ``user_info``; members and service accounts are ours."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from modelyard.domain.accounts import IdentityType, MemberState, Role
from modelyard.http.api.wire.common import Answer, Body, Choice, Id, ListQuery, Name


class AccountAnswer(Answer):
    id: str
    name: str
    status: str
    """``active``; in an account that is ``disabled`` nobody has any right."""
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


class UserChange(Body):
    first_name: Name | None = None
    last_name: Name | None = None
    is_deployment_admin: bool | None = None
    """Whether this is an administrator of the installation; only such may say so."""


class AccountCreate(Body):
    account_name: Name


class AccountCreated(Answer):
    account_id: str


class AccountChange(Body):
    name: Name | None = None
    status: Literal["active", "disabled"] | None = None
    """Only administrators of the installation may change it."""


class AccountDetail(AccountAnswer):
    created_at: datetime


class AccountQuery(ListQuery):
    """As every list."""


Grantable = Literal["admin", "manager", "editor", "member", "viewer", "labeler"]
Email = Annotated[str, StringConstraints(min_length=3, max_length=320)]


class MemberCreate(Body):
    email: Email
    """Upper and lower case make no difference."""
    role: Annotated[Grantable, Field()] = "member"
    first_name: Name | None = None
    last_name: Name | None = None


class MemberChange(Body):
    role: Grantable | None = None
    status: Literal["active", "disabled"] | None = None
    """Who is disabled keeps the role, without any right."""


class MemberQuery(ListQuery):
    role: Choice[Role] | None = None
    status: Choice[MemberState] | None = None
    type: Choice[IdentityType] | None = None
    email: Email | None = None


class MemberAnswer(Answer):
    id: str
    """The identity's id, as in ``created_by_user_id``."""
    account_id: str
    type: IdentityType
    email: str | None
    """None for service accounts."""
    first_name: str | None
    last_name: str | None
    role: Role
    status: MemberState
    """``invited`` until the first sign-in."""


class ServiceAccountCreate(Body):
    name: Name
    account_id: Id | None = None
    role: Annotated[Grantable, Field()] = "member"


class ServiceAccountChange(Body):
    name: Name | None = None
    role: Grantable | None = None
    status: Literal["active", "disabled"] | None = None


class ServiceAccountAnswer(Answer):
    id: str
    account_id: str
    name: str
    role: Role
    status: MemberState
    created_at: datetime
