"""Swaps of a model server's backends, and the way back."""

from dataclasses import replace
from datetime import UTC, datetime

from modelyard.domain.accounts import IdentityType
from modelyard.domain.servers import KEPT_EARLIER, Backend, ModelServer, main_of, rolled_back, swapped

A, B, C = (Backend(name) for name in "abc")
SERVER = ModelServer(
    "s", "account", datetime(2026, 1, 1, tzinfo=UTC), "u", IdentityType.USER, "name", alias=None, backends=(A,)
)


def test_a_swap_remembers_what_was_there() -> None:
    once = swapped(SERVER, (B,))
    assert (once.backends, once.earlier) == ((B,), ((A,),))
    assert swapped(once, (B,)) is once


def test_a_long_past_is_bounded() -> None:
    server = SERVER
    for number in range(KEPT_EARLIER + 5):
        server = swapped(server, (Backend(str(number)),))
    assert len(server.earlier) == KEPT_EARLIER
    assert server.earlier[-1] == (Backend(str(KEPT_EARLIER + 3)),)


def test_going_back_leads_further_back_each_time() -> None:
    server = swapped(swapped(SERVER, (B,)), (A, C))
    first = rolled_back(server, "abc")
    assert first is not None
    assert first.backends == (B,)
    second = rolled_back(first, "abc")
    assert second is not None
    assert second.backends == (A,)
    assert rolled_back(second, "abc") is None


def test_what_is_gone_is_not_gone_back_to() -> None:
    server = swapped(swapped(swapped(SERVER, (A, B)), (B,)), (C,))
    assert rolled_back(server, "ac") == replace(SERVER, earlier=())
    assert rolled_back(server, "c") is None


def test_the_main_one_has_the_largest_share() -> None:
    assert main_of((Backend("a", 1), Backend("b", 9))) == "b"
    assert main_of((Backend("a", 5), Backend("b", 5))) == "a"
