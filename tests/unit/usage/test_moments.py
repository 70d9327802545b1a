"""Moments in queries mean the same wherever the server stands, also when its clocks are put forward or back."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from modelyard.http.api.convert.usage import moment


@pytest.fixture(params=["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "UTC"], autouse=True)
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where the server stands; on Lord Howe Island summer time is half an hour."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-03-29T02:30:00", datetime(2026, 3, 29, 2, 30, tzinfo=UTC)),  # no such time in Berlin
        ("2026-10-25T02:30:00", datetime(2026, 10, 25, 2, 30, tzinfo=UTC)),  # there it comes twice
        ("2026-07-01", datetime(2026, 7, 1, tzinfo=UTC)),
        ("2026-10-25T02:30:00+02:00", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-10-25T02:30:00+01:00", datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
        ("2026-03-29T03:30:00+02:00", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
    ],
)
def test_what_a_moment_means(text: str, meant: datetime) -> None:
    found = moment(text, "start_date")
    assert found == meant
    assert found.tzinfo is UTC
