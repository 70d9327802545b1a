"""JSON from strangers."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.errors import InvalidRequest, MalformedRequest
from modelyard.http.json_body import MAX_DEPTH, parse

_TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)))
_SCALARS = st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | _TEXT | st.floats(-1e300, 1e300)
_CLEAN = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3), max_leaves=10
)


@given(_CLEAN)
def test_clean_values_pass(value: Any) -> None:
    assert parse(json.dumps(value).encode()) == value
    assert parse(json.dumps(value, ensure_ascii=False).encode()) == value


@given(_CLEAN, st.sampled_from(["\x00", "\ud800", "a\udfff", float("1e999"), 2**63]))
def test_what_no_store_holds_is_named_wherever_it_hides(value: Any, bad: Any) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse(json.dumps({"fine": value, "deep": [value, {"here": bad}]}).replace("Infinity", "1e999").encode())
    assert [error.loc for error in raised.value.errors] == [("body", "deep", 1, "here")]


@pytest.mark.parametrize("text", [b"", b"{", b"{'a': 1}", b"NaN", b"[Infinity]", b"\xff", b"1 2", b"9" * 5000])
def test_what_is_no_json(text: bytes) -> None:
    with pytest.raises(MalformedRequest):
        parse(text)


def test_depth_is_bounded_exactly() -> None:
    assert parse(b"[" * (MAX_DEPTH) + b"]" * (MAX_DEPTH)) is not None
    with pytest.raises(InvalidRequest):
        parse(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


def test_errors_are_bounded() -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse(json.dumps(["\x00"] * 1000).encode())
    assert len(raised.value.errors) == 20


def test_an_error_never_repeats_what_it_complains_about() -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse(rb'{"a\u0000\ud800": {"b": 1}}')
    [error] = raised.value.errors
    assert error.loc == ("body", r"a\x00\ud800")
    str(error).encode()
