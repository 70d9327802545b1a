"""Which failures are tried again, where, and how long a replacement is waited for."""

import pytest

from modelyard.errors import UpstreamError
from modelyard.gateway.tries import Failed, Remedy, Tries
from modelyard.testing.gateway import endpoints, make_route

ONE = make_route(endpoints=endpoints("http://a"))
TWO = make_route(endpoints=endpoints("http://a", "http://b"))
NONE = make_route()


def failed(remedy: Remedy) -> Failed:
    return Failed(UpstreamError("gone"), remedy)


@pytest.mark.parametrize("remedy", list(Remedy))
def test_another_worker_is_asked_at_once(remedy: Remedy) -> None:
    tries = Tries(2, 10)
    assert tries.after(failed(remedy), "w0", TWO, 0) == 0
    assert tries.excluded == {"w0"}


def test_the_only_worker_is_asked_once_more_when_a_connection_was_cut() -> None:
    tries = Tries(5, 10)
    assert 0 < tries.after(failed(Remedy.SAME), "w0", ONE, 0) < 1
    assert not tries.excluded
    with pytest.raises(UpstreamError):
        tries.after(failed(Remedy.SAME), "w0", ONE, 0)


def test_a_cut_connection_and_then_none_waits_for_the_replacement() -> None:
    tries = Tries(2, 10)
    assert 0 < tries.after(failed(Remedy.SAME), "w0", ONE, 0) < 1
    assert tries.after(failed(Remedy.REPLACEMENT), "w0", ONE, 0) == 1
    assert tries.after(failed(Remedy.REPLACEMENT), "w0", ONE, 9.5) == 0.5
    with pytest.raises(UpstreamError):
        tries.after(failed(Remedy.REPLACEMENT), "w0", ONE, 10)


def test_where_the_dead_one_is_gone_from_the_table_the_next_lease_waits() -> None:
    tries = Tries(1, 10)
    assert tries.after(failed(Remedy.REPLACEMENT), "w0", NONE, 0) == 0


def test_workers_that_cannot_be_reached_use_up_no_try() -> None:
    tries = Tries(1, 10)
    assert tries.after(failed(Remedy.REPLACEMENT), "w0", TWO, 0) == 0
    assert tries.after(failed(Remedy.REPLACEMENT), "w1", TWO, 0) == 1
    assert tries.after(failed(Remedy.SAME), "w0", TWO, 1) == 0
    with pytest.raises(UpstreamError):
        tries.after(failed(Remedy.SAME), "w1", TWO, 1)


def test_who_is_busy_is_not_asked_again() -> None:
    tries = Tries(5, 10)
    assert tries.after(failed(Remedy.OTHERS), "w0", TWO, 0) == 0
    with pytest.raises(UpstreamError):
        tries.after(failed(Remedy.OTHERS), "w1", TWO, 0)


@pytest.mark.parametrize("remedy", list(Remedy))
def test_without_retries_nothing_is_tried_again_where_nobody_else_is(remedy: Remedy) -> None:
    with pytest.raises(UpstreamError):
        Tries(0, 10).after(failed(remedy), "w0", ONE, 0)
