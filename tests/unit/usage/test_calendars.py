"""Days, weeks and months by the clocks of a place: every hour is in the slice that a calendar there says."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from modelyard.domain.calendars import Equal, Listed, edges, moment, slices
from modelyard.domain.intervals import DAY, HOUR, to_microseconds

# Cairo and Santiago move their clocks at midnight, so that some days have none.
PLACES = ("UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "America/Santiago", "Pacific/Auckland")
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
HOURS = some.integers(24 * 400, 24 * 365 * 70).map(lambda hours: BEGINNING + timedelta(hours=hours))


def called(cut, at):
    """As the store says it in SQL."""
    if isinstance(cut, Listed):
        return [start for start in cut.starts if start <= to_microseconds(at)][-1]
    local = to_microseconds(at) + [by for since, by in cut.ahead if since <= to_microseconds(at)][-1]
    return local - (local - cut.origin) % cut.length


@given(start=HOURS, days=some.integers(0, 800), within=some.floats(0, 1), name=some.sampled_from(PLACES))
@pytest.mark.parametrize("interval", ["hour", "day", "week", "month"])
def test_every_hour_is_where_a_calendar_has_it(interval, start, days, within, name):
    zone, end = ZoneInfo(name), start + timedelta(days=days, hours=1)
    at = start + timedelta(hours=int(within * days * 24))
    cut = slices(interval, zone, start, end)
    begin = moment(cut, called(cut, at), zone)
    assert begin <= at
    local = at.astimezone(zone)
    if interval == "hour":
        assert at - begin < timedelta(hours=1)
    if interval == "day":
        assert begin.date() == local.date()
        earlier = (begin.astimezone(UTC) - timedelta(microseconds=1)).astimezone(zone)
        assert earlier.date() < local.date()
    if interval == "week":
        assert (begin.isoweekday(), begin.isocalendar()[:2]) == (1, local.isocalendar()[:2])
    if interval == "month":
        assert (begin.year, begin.month, begin.day) == (local.year, local.month, 1)


def test_where_clocks_leave_midnight_out_the_day_begins_an_hour_later():
    zone = ZoneInfo("Africa/Cairo")
    at = datetime(2025, 4, 25, 12, tzinfo=zone).astimezone(UTC)
    cut = slices("day", zone, at, at + timedelta(hours=1))
    assert moment(cut, called(cut, at), zone).isoformat() == "2025-04-25T01:00:00+03:00"


def test_what_slices_consist_of_is_told():
    start, end = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 6, 1, tzinfo=UTC)
    for interval, unit in (("hour", HOUR), ("day", DAY), ("week", DAY), ("month", DAY)):
        assert all(edge % unit == 0 for edge in edges(slices(interval, UTC, start, end)))
    berlin = edges(slices("day", ZoneInfo("Europe/Berlin"), start, end))
    assert {edge % DAY for edge in berlin} == {0, HOUR, 2 * HOUR}
    for interval in ("day", "week", "month"):
        assert any(edge % HOUR for edge in edges(slices(interval, ZoneInfo("Asia/Kolkata"), start, end)))


def test_a_place_that_moves_no_clocks_is_ahead_once():
    cut = slices("day", ZoneInfo("Asia/Tokyo"), BEGINNING, BEGINNING + timedelta(days=3650))
    assert isinstance(cut, Equal)
    assert cut.ahead == [(0, 9 * HOUR)]
