"""Who is calling, and what may they do."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from modelyard.domain.rights import GRANTS, RIGHTS, KeyScope, rights_through
from modelyard.domain.rights import Right as Right
from modelyard.domain.rights import Role as Role
from modelyard.domain.rights import roles_with as roles_with

PLATFORM_ACCOUNT_ID = "00000000-0000-4000-8000-000000000001"
"""The platform's own account: built-in templates and models live in it, everyone may read and call them."""

PLATFORM_USER_ID = "00000000-0000-4000-8000-000000000002"
"""The identity that made the built-in entities."""


class IdentityType(StrEnum):
    USER = "user"
    SERVICE_ACCOUNT = "service_account"


class MemberState(StrEnum):
    """Whether a membership is in force. On the client's wire the last two stand in the place of the role."""

    ACTIVE = "active"
    INVITED = "invited"
    DISABLED = "disabled"


class KeyKind(StrEnum):
    KEY = "key"
    SESSION = "session"  # made by signing in, ended by signing out


ACTIVE = "active"
"""The status of an account that is in use. In one that is disabled nobody has any right."""


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
    """What the member may do while the membership is in force."""
    state: MemberState = MemberState.ACTIVE

    @property
    def effective(self) -> Role:
        """The role that counts: none of those with rights unless membership and account are both in force."""
        if self.account.status != ACTIVE or self.state is MemberState.DISABLED:
            return Role.DISABLED
        return Role.INVITED if self.state is MemberState.INVITED else self.role


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
    """What is known of a key: never the key itself, only its SHA-256 and how it begins. Its id stays when it is
    rotated."""

    id: str
    identity_id: str
    name: str
    prefix: str
    digest: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    scopes: tuple[KeyScope, ...] | None = None
    """What it is narrowed to; None: nothing is taken from what its holder may."""
    models: tuple[str, ...] | None = None
    """Ids or names of the models and deployments that it may call; None: any."""
    last_used_at: datetime | None = None
    """To within a minute."""
    kind: KeyKind = KeyKind.KEY


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller: the identity behind a key, reduced to what decisions need."""

    key_id: str
    identity_id: str
    identity_type: IdentityType
    is_administrator: bool
    roles: dict[str, Role]
    """account id -> role, for every account the caller belongs to."""
    scopes: tuple[KeyScope, ...] | None = None
    """What the key is narrowed to, as in `ApiKey`."""
    models: frozenset[str] | None = None
    """What the key may call, as in `ApiKey`."""

    def can(self, right: Right, account_id: str) -> bool:
        """Whether both the role in that account and the key's scopes allow it."""
        return self.lets_through(right) and self._holds(right, account_id)

    def lets_through(self, right: Right) -> bool:
        """Whether the key's scopes do, whatever the role."""
        return self.scopes is None or right in rights_through(self.scopes)

    def sees(self, account_id: str) -> bool:
        """Whether what belongs to that account exists for the caller; what the key may do with it is another matter."""
        return self._holds(Right.READ, account_id)

    def administers(self, account_id: str, right: Right = Right.ADMIN) -> bool:
        """As `can`; administrators of the installation look after the people of every account."""
        return self.can(right, account_id) or (self.is_administrator and self.lets_through(right))

    def may_grant(self, role: Role, account_id: str) -> bool:
        """Whether the caller may make somebody ``role`` there, or change or remove somebody who is."""
        if not self.lets_through(Right.ADMIN):
            return False
        return self.is_administrator or role in GRANTS.get(self.roles.get(account_id, Role.DISABLED), frozenset())

    def may_call(self, *names: str) -> bool:
        """Whether the key may call what goes by these ids and names."""
        return self.models is None or not self.models.isdisjoint(names)

    def _holds(self, right: Right, account_id: str) -> bool:
        if account_id != PLATFORM_ACCOUNT_ID:
            role = self.roles.get(account_id)
            return role is not None and right in RIGHTS[role]
        # What the platform offers is there for whoever has a place somewhere, for as much as that place allows.
        if right not in (Right.READ, Right.CALL):
            return False
        return self.is_administrator or any(right in RIGHTS[role] for role in self.roles.values())
