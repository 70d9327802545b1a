"""What a call may see and touch."""

import pytest

from modelyard.control.scope import Scope
from modelyard.domain.accounts import PLATFORM_ACCOUNT_ID, Caller, IdentityType, Right, Role
from modelyard.errors import Forbidden, MalformedRequest, NotFound


def scope(selected: str | None = None, **roles: Role) -> Scope:
    return Scope(Caller("k", "i", IdentityType.USER, False, roles), selected)


def test_reads_span_every_account_and_the_platform_s() -> None:
    assert scope(a=Role.VIEWER, b=Role.ADMIN).readable == ("a", "b", PLATFORM_ACCOUNT_ID)
    assert scope("b", a=Role.VIEWER, b=Role.ADMIN).readable == ("b", PLATFORM_ACCOUNT_ID)
    assert scope(a=Role.DISABLED).readable == (), "who has no place anywhere sees nothing"


def test_a_filter_narrows_and_never_widens() -> None:
    caller = scope("a", a=Role.ADMIN, b=Role.ADMIN)
    assert caller.narrowed("a") == ("a",)
    assert caller.narrowed("b") == ()
    assert caller.narrowed("elsewhere") == ()
    assert caller.narrowed(PLATFORM_ACCOUNT_ID) == (PLATFORM_ACCOUNT_ID,)


def test_writes_go_to_the_body_s_account_then_the_selected_then_the_only_one() -> None:
    both = {"a": Role.EDITOR, "b": Role.EDITOR}
    assert scope("a", **both).account_to_write("b") == "b"
    assert scope("a", **both).account_to_write(None) == "a"
    assert scope(a=Role.EDITOR).account_to_write(None) == "a"
    assert scope(a=Role.EDITOR, b=Role.VIEWER).account_to_write(None) == "a"
    with pytest.raises(MalformedRequest):
        scope(**both).account_to_write(None)


def test_what_a_key_may_not_write() -> None:
    with pytest.raises(NotFound):
        scope(a=Role.ADMIN).account_to_write("b")
    with pytest.raises(NotFound):
        scope(a=Role.ADMIN).account_to_write(PLATFORM_ACCOUNT_ID)
    with pytest.raises(Forbidden):
        scope(a=Role.MEMBER).account_to_write("a")
    with pytest.raises(Forbidden):
        scope(a=Role.MEMBER).account_to_write(None)
    with pytest.raises(Forbidden):
        scope().account_to_write(None)


def test_rights_ask_for_roles_by_name() -> None:
    with pytest.raises(Forbidden, match=r"'viewer'.*admin, manager, editor in"):
        scope(a=Role.VIEWER).require(Right.WRITE, "a")
    scope(a=Role.EDITOR).require(Right.WRITE, "a")
