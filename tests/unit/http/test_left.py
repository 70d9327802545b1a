"""What is left of limits is told by every answer that concerns them, refusals too."""

from dataclasses import replace

import pytest

from modelyard.domain.accounts import IdentityType
from modelyard.domain.limits import Kind, Left, Limit, OverLimit, Subject, Want, asks, decide
from modelyard.http.errors import headers_of
from modelyard.http.left import left_headers
from modelyard.testing.clock import START

SMALL = Limit(
    id="small",
    account_id="a",
    created_at=START,
    created_by_user_id="u",
    created_by_identity_type=IdentityType.USER,
    name="small",
    subject=Subject.KEY,
    subject_id="key",
    bounds={Kind.CALLS: 10, Kind.TOKENS: 100, Kind.CONCURRENT: 2},
)


def refusal(want: Want, **used: int) -> OverLimit:
    verdict = decide(asks([SMALL], want, START), {("small", Kind(kind)): amount for kind, amount in used.items()})
    assert verdict.exceeded is not None
    return OverLimit("no", [verdict.exceeded, *verdict.left], code="limit_exceeded", retry_after=1)


def test_a_refusal_tells_what_is_left_of_all_bounds_as_answers_do() -> None:
    headers = headers_of(refusal(Want(tokens=60), tokens_per_minute=50, calls_per_minute=3))
    reset = headers.pop("x-ratelimit-reset-tokens")
    assert (reset.endswith("Z"), headers.pop("x-ratelimit-reset-requests")) == (True, reset)
    assert headers == {
        "retry-after": "1",
        "x-ratelimit-limit-tokens": "100",
        "x-ratelimit-remaining-tokens": "50",
        "x-ratelimit-limit-requests": "10",
        "x-ratelimit-remaining-requests": "7",
        "x-ratelimit-limit-concurrent": "2",
        "x-ratelimit-remaining-concurrent": "2",
    }


def test_of_a_bound_that_was_lowered_nothing_is_left() -> None:
    assert headers_of(refusal(Want(), calls_per_minute=12))["x-ratelimit-remaining-requests"] == "0"


@pytest.mark.parametrize(("tokens", "again"), [(100, None), (101, "false")])
def test_no_client_tries_again_by_itself_what_never_fits(tokens: int, again: str | None) -> None:
    assert headers_of(refusal(Want(tokens=tokens), tokens_per_minute=1)).get("x-should-retry") == again


def test_nor_what_a_spent_budget_refuses() -> None:
    spent = OverLimit("no", refusal(Want(), calls_per_minute=10).left, code="budget_exceeded", retry_after=60)
    assert headers_of(spent)["x-should-retry"] == "false"


@pytest.mark.parametrize("turned", [False, True])
def test_of_several_limits_that_is_told_of_which_the_least_is_left(turned: bool) -> None:
    wide = replace(SMALL, id="wide", name="wide", bounds={Kind.CALLS: 1000})
    limits = [wide, SMALL][:: -1 if turned else 1]
    headers = left_headers(decide(asks(limits, Want(tokens=1), START), {}).left)
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("10", "9")


def test_a_call_that_is_let_through_has_taken_its_share() -> None:
    wanted = asks([SMALL], Want(tokens=60), START)
    assert [each.amount for each in decide(wanted, {}).left] == [9, 40, 1]
    assert decide(wanted, {("small", Kind.TOKENS): 40}).left[1] == Left(wanted[1], 0)
