"""The permission table, cell by cell: as the guide tells it, and what the guide tells in words written out here. Routes
are tested with what the table says, so that a wrong cell would be looked for in vain there."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelyard.domain.accounts import Account, Caller, IdentityType, Membership, MemberState
from modelyard.domain.rights import GRANTS, RIGHTS, SCOPES, KeyScope, Right, Role

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "accounts.md"
COLUMNS = (Right.READ, Right.CALL, Right.WRITE, Right.ADMIN, Right.AUDIT)
ROW = re.compile(r"^\| (?P<roles>[a-z, ]+?) \|(?P<cells>(?: (?:yes|no)[^|]*\|){5})$", re.MULTILINE)
ALL = {Role.ADMIN, Role.MANAGER, Role.EDITOR, Role.MEMBER, Role.VIEWER, Role.LABELER}
STATES = {Role.DISABLED, Role.INVITED}


def told() -> dict[Role, set[Right]]:
    """The guide's table."""
    found = {}
    for row in ROW.finditer(GUIDE.read_text()):
        cells = [cell.strip().startswith("yes") for cell in row["cells"].split("|")[:-1]]
        rights = {right for right, cell in zip(COLUMNS, cells, strict=True) if cell}
        found.update({Role(role): rights for role in row["roles"].split(", ")})
    return found


def test_every_role_has_the_rights_that_the_guide_tells_of() -> None:
    assert {**told(), **{state: set() for state in STATES}} == RIGHTS
    assert set(told()) == ALL


@pytest.mark.parametrize(
    ("scope", "rights"),
    [
        (KeyScope.INFERENCE, {Right.CALL}),
        (KeyScope.READ, {Right.READ}),
        (KeyScope.WRITE, {Right.READ, Right.WRITE}),
        (KeyScope.ADMIN, {Right.READ, Right.WRITE, Right.ADMIN, Right.AUDIT}),
    ],
)
def test_every_scope_lets_through_what_the_guide_tells_of(scope: KeyScope, rights: set[Right]) -> None:
    assert SCOPES[scope] == rights
    assert len(SCOPES) == 4


@pytest.mark.parametrize("own", [*Role, None])
@pytest.mark.parametrize("role", sorted(ALL))
def test_who_may_make_whom_what(own: Role | None, role: Role) -> None:
    roles = {} if own is None else {"account": own}
    caller = Caller("k", "i", IdentityType.USER, is_administrator=False, roles=roles)
    allowed = {Role.ADMIN: ALL, Role.MANAGER: ALL - {Role.ADMIN}}.get(own or Role.DISABLED, set())
    assert caller.may_grant(role, "account") is (role in allowed)
    assert not caller.may_grant(role, "another account")
    assert set(GRANTS) == {Role.ADMIN, Role.MANAGER}


@pytest.mark.parametrize("scope", [*KeyScope, None])
@pytest.mark.parametrize("role", Role)
def test_a_key_needs_the_role_and_the_scope(role: Role, scope: KeyScope | None) -> None:
    scopes = None if scope is None else (scope,)
    caller = Caller("k", "i", IdentityType.USER, is_administrator=False, roles={"account": role}, scopes=scopes)
    through = set(Right) if scope is None else SCOPES[scope]
    assert {right for right in Right if caller.can(right, "account")} == RIGHTS[role] & through
    assert not any(caller.can(right, "another account") for right in Right)
    assert {right for right in Right if caller.lets_through(right)} == through


@pytest.mark.parametrize("status", ["active", "disabled"])
@pytest.mark.parametrize("state", MemberState)
@pytest.mark.parametrize("role", sorted(ALL))
def test_a_role_counts_while_membership_and_account_are_in_force(role: Role, state: MemberState, status: str) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    membership = Membership("m", Account("a", "a", now, status), "i", IdentityType.USER, role, state)
    in_force = state is MemberState.ACTIVE and status == "active"
    assert (membership.effective is role) is in_force
    assert in_force or not RIGHTS[membership.effective]
