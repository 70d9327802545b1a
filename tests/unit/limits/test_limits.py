"""Whose calls a limit concerns, which window a moment falls into, and what takes the place of reservations."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from modelyard.domain.accounts import IdentityType
from modelyard.domain.limits import (
    Kind,
    Limit,
    LimitTable,
    OnExceeded,
    Subject,
    settlement,
    shown,
    window_end,
    window_of,
)
from modelyard.domain.usage import Outcome, Reservation
from modelyard.testing.clock import START
from modelyard.testing.usage import make_usage

CALL = {"account_id": "a", "key_id": "k", "identity_id": "i", "model_id": "m"}
SUBJECTS = {Subject.KEY: "k", Subject.IDENTITY: "i", Subject.ACCOUNT: "a", Subject.MODEL: "m"}
MINUTE = datetime(2026, 6, 15, 12, 30, tzinfo=UTC)


def limit(subject: Subject, **more: Any) -> Limit:
    plain = Limit(
        id=subject.value,
        account_id="a",
        created_at=START,
        created_by_user_id="u",
        created_by_identity_type=IdentityType.USER,
        name=subject.value,
        subject=subject,
        subject_id=SUBJECTS[subject],
        bounds={Kind.CALLS: 1},
    )
    return replace(plain, **more)


@pytest.mark.parametrize("subject", Subject)
def test_a_limit_of_each_kind_concerns_the_calls_of_its_subject_in_its_account(subject: Subject) -> None:
    mine = limit(subject)
    table = LimitTable([mine, *(limit(each, subject_id="another's") for each in Subject)])
    assert table.of(**CALL) == (mine,)
    assert LimitTable([limit(subject, account_id="another's")]).of(**CALL) == ()


def test_a_call_keeps_to_all_limits_that_concern_it() -> None:
    every = [*map(limit, Subject), limit(Subject.KEY, id="second")]
    assert {each.id for each in LimitTable(every).of(**CALL)} == {each.id for each in every}


def test_limits_are_hard_where_nothing_else_is_said() -> None:
    assert limit(Subject.KEY).on_exceeded is OnExceeded.REJECT


def at(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("kind", "begins", "ends"),
    [
        (Kind.CALLS, at(2028, 12, 31, 22, 59), at(2028, 12, 31, 23, 0)),
        (Kind.TOKENS, at(2028, 12, 31, 22, 59), at(2028, 12, 31, 23, 0)),
        (Kind.DAY, at(2028, 12, 31), at(2029, 1, 1)),
        (Kind.MONTH, at(2028, 12, 1), at(2029, 1, 1)),
    ],
)
def test_windows_are_the_calendar_s_in_utc_wherever_the_clock_is(kind: Kind, begins: datetime, ends: datetime) -> None:
    for zone in ("UTC", "Europe/Berlin", "Pacific/Kiritimati", "America/St_Johns"):
        now = at(2028, 12, 31, 22, 59, 59).astimezone(ZoneInfo(zone))
        assert window_of(kind, now) == begins
    assert window_end(kind, begins) == ends
    assert window_of(kind, ends) == ends


def test_days_and_months_end_where_the_calendar_has_them_end() -> None:
    assert window_end(Kind.MONTH, at(2028, 2, 1)) == at(2028, 3, 1)
    assert window_end(Kind.MONTH, at(2026, 7, 1)) == at(2026, 8, 1)
    # The night in which Berlin's clocks are set back: a day has 24 hours all the same.
    assert window_end(Kind.DAY, window_of(Kind.DAY, at(2026, 10, 25, 0, 30))) == at(2026, 10, 26)


def test_concurrent_calls_have_one_window_that_never_ends() -> None:
    assert window_of(Kind.CONCURRENT, MINUTE) == window_of(Kind.CONCURRENT, START)
    assert window_end(Kind.CONCURRENT, window_of(Kind.CONCURRENT, MINUTE)) is None


def test_money_is_shown_in_dollars() -> None:
    assert [shown(Kind.DAY, nano) for nano in (0, 1_500_000_000, 1000)] == ["$0", "$1.5", "$0.000001"]
    assert shown(Kind.TOKENS, 1_500_000_000) == "1500000000"


def test_what_a_call_used_counts_where_it_was_reserved_also_when_that_window_is_over() -> None:
    def held(kind: Kind, amount: int) -> Reservation:
        return Reservation("limit", kind.value, window_of(kind, MINUTE), amount)

    reserved = tuple(held(kind, 50) for kind in Kind)
    over = make_usage(
        started_at=at(2026, 8, 1), prompt_tokens=3, response_tokens=4, cost_nano=5, reserved=reserved, gateway_id="g"
    )
    settled = settlement([over, over])
    windows = {kind: ("limit", kind.value, window_of(kind, MINUTE)) for kind in Kind}
    used = {Kind.CALLS: 1, Kind.TOKENS: 7, Kind.DAY: 5, Kind.MONTH: 5}
    assert settled.spent == {windows[kind]: 2 * amount for kind, amount in used.items()}
    assert settled.released == {(*window, "g"): 100 for window in windows.values()}


def test_a_cancelled_call_gives_back_what_it_reserved_and_spent_nothing_more_than_it_used() -> None:
    tokens = Reservation("limit", Kind.TOKENS.value, MINUTE, 50)
    gone = make_usage(outcome=Outcome.CANCELLED, prompt_tokens=0, response_tokens=0, reserved=(tokens,), gateway_id="g")
    settled = settlement([gone])
    assert (dict(settled.spent), set(settled.released.values())) == ({}, {50})
