"""The permission table: what each role may do in its account, what each key scope lets through, who may give which
role to whom. Data; whoever decides asks `modelyard.domain.accounts.Caller`, which reads it from here."""

from collections.abc import Iterable
from enum import StrEnum


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


class Right(StrEnum):
    """What a call needs in the account whose things it touches."""

    READ = "read"
    CALL = "call"  # inference
    WRITE = "write"  # templates, models, deployments
    ADMIN = "admin"  # members, service accounts and keys
    AUDIT = "audit"  # the account itself, its admins, and the audit log


class KeyScope(StrEnum):
    """What a key is narrowed to; a key without scopes lets through all that its holder may."""

    INFERENCE = "inference"
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.ADMIN: frozenset(Right),
    Role.MANAGER: frozenset({Right.READ, Right.CALL, Right.WRITE, Right.ADMIN}),
    Role.EDITOR: frozenset({Right.READ, Right.CALL, Right.WRITE}),
    Role.MEMBER: frozenset({Right.READ, Right.CALL}),
    Role.VIEWER: frozenset({Right.READ}),
    Role.LABELER: frozenset({Right.READ}),
    Role.DISABLED: frozenset(),
    Role.INVITED: frozenset(),
}

SCOPES: dict[KeyScope, frozenset[Right]] = {
    KeyScope.INFERENCE: frozenset({Right.CALL}),
    KeyScope.READ: frozenset({Right.READ}),
    KeyScope.WRITE: frozenset({Right.READ, Right.WRITE}),
    KeyScope.ADMIN: frozenset({Right.READ, Right.WRITE, Right.ADMIN, Right.AUDIT}),
}

GRANTABLE = (Role.ADMIN, Role.MANAGER, Role.EDITOR, Role.MEMBER, Role.VIEWER, Role.LABELER)
"""The roles that somebody can be given, the mightiest first."""

GRANTS: dict[Role, frozenset[Role]] = {
    Role.ADMIN: frozenset(GRANTABLE),
    # Nobody makes, changes or takes away somebody mightier than himself.
    Role.MANAGER: frozenset(GRANTABLE) - {Role.ADMIN},
}


def roles_with(right: Right) -> tuple[Role, ...]:
    """The roles that have ``right`` in their account, the mightiest first."""
    return tuple(role for role in Role if right in RIGHTS[role])


def rights_through(scopes: Iterable[KeyScope] | None) -> frozenset[Right]:
    """The rights that a key with these scopes lets through; None: all of them."""
    if scopes is None:
        return frozenset(Right)
    return frozenset().union(*(SCOPES[scope] for scope in scopes))


def scopes_with(right: Right) -> tuple[KeyScope, ...]:
    """The scopes that let ``right`` through."""
    return tuple(scope for scope in KeyScope if right in SCOPES[scope])
