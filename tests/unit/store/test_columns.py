"""Column types: instants to the microsecond, JSON whose text tells whether data is equal."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from modelyard.domain.intervals import from_microseconds, to_microseconds
from modelyard.store.columns import Instant, Json, Words

DIALECT = sqlite.dialect()
ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSTANTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=ZONES)


@given(INSTANTS)
def test_instants_come_back_exactly_in_utc(at):
    back = from_microseconds(to_microseconds(at))
    assert back == at
    assert back.tzinfo is UTC


@given(INSTANTS, INSTANTS)
def test_instants_compare_as_their_numbers_do(one, other):
    assert (one < other) == (to_microseconds(one) < to_microseconds(other))


def test_a_time_without_a_zone_is_no_instant():
    with pytest.raises(TypeError):
        Instant().process_bind_param(datetime(2026, 1, 1), DIALECT)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON))
def test_json_comes_back_and_its_text_does_not_depend_on_the_order_of_keys(value):
    column = Json()
    text = column.process_bind_param(value, DIALECT)
    assert column.process_result_value(text, DIALECT) == value
    assert column.process_bind_param(dict(reversed(value.items())), DIALECT) == text


def test_nothing_is_nothing():
    for column in (Json(), Instant(), Words()):
        assert column.process_bind_param(None, DIALECT) is None


@given(st.text(st.characters()))
def test_words_of_a_process_can_always_be_written_down(words):
    text = Words().process_bind_param(words, DIALECT)
    assert "\0" not in text
    assert text.encode().decode() == text
    assert len(text) == len(words)
