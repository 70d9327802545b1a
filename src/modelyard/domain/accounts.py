"""Who is calling, and what may they do."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

PLATFORM_ACCOUNT_ID = "00000000-0000-4000-8000-000000000001"
"""The platform's own account: built-in templates and models live in it, everyone may read and call them."""

PLATFORM_USER_ID = "00000000-0000-4000-8000-000000000002"
"""The identity that made the built-in entities."""


class Role(StrEnum):
    """A membership's role, in the client's words. DISABLED and INVITED are states without any right."""

    ADMIN = "admin"
    MANAGER = "manager"
    EDITOR = "editor"
    MEMBER = "member"
    VIEWER = "viewer"
    LABELER = "labeler"
    DISABLED = "disabled"
    INVITED = "invited"


class IdentityType(StrEnum):
    USER = "user"
    SERVICE_ACCOUNT = "service_account"


class Right(StrEnum):
    """What a call needs in the account whose things it touches."""

    READ = "read"
    CALL = "call"  # inference
    WRITE = "write"  # templates, models, deployments
    ADMIN = "admin"  # members and keys


_RIGHTS: dict[Role, frozenset[Right]] = {
    Role.ADMIN: frozenset(Right),
    Role.MANAGER: frozenset(Right),
    Role.EDITOR: frozenset({Right.READ, Right.CALL, Right.WRITE}),
    Role.MEMBER: frozenset({Right.READ, Right.CALL}),
    Role.VIEWER: frozenset({Right.READ}),
    Role.LABELER: frozenset({Right.READ}),
    Role.DISABLED: frozenset(),
    Role.INVITED: frozenset(),
}


def roles_with(right: Right) -> tuple[Role, ...]:
    """The roles that have ``right`` in their account, the mightiest first."""
    return tuple(role for role in Role if right in _RIGHTS[role])


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    name: str
    created_at: datetime
    status: str = "active"


@dataclass(frozen=True, slots=True)
class Membership:
    """One identity's place in one account (the client calls it an access profile)."""

    id: str
    account: Account
    identity_id: str
    identity_type: IdentityType
    role: Role


@dataclass(frozen=True, slots=True)
class Identity:
    """A person or a service account."""

    id: str
    type: IdentityType
    email: str
    created_at: datetime
    first_name: str | None = None
    last_name: str | None = None
    is_administrator: bool = False
    """May do what concerns the whole installation: make accounts, templates that run commands on the server."""
    memberships: tuple[Membership, ...] = ()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key: never the key itself, only its SHA-256 and how it begins."""

    id: str
    identity_id: str
    name: str
    prefix: str
    digest: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller: the identity behind a key, reduced to what decisions need."""

    key_id: str
    identity_id: str
    identity_type: IdentityType
    is_administrator: bool
    roles: dict[str, Role]
    """account id -> role, for every account the caller belongs to."""

    def can(self, right: Right, account_id: str) -> bool:
        role = self.roles.get(account_id)
        if role is not None and right in _RIGHTS[role]:
            return True
        return account_id == PLATFORM_ACCOUNT_ID and right in (Right.READ, Right.CALL)

    def readable_accounts(self) -> tuple[str, ...]:
        """The accounts whose entities the caller sees, the platform's own included."""
        own = [account for account in self.roles if self.can(Right.READ, account)]
        return (*own, PLATFORM_ACCOUNT_ID)
