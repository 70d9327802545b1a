"""msgspec's words about what is wrong, with the place in ours."""

import pytest

from modelyard.http.inference.reading import field_error


@pytest.mark.parametrize(
    ("text", "loc", "kind"),
    [
        ("Expected `str`, got `int` - at `$.a[0].b`", ("body", "a", 0, "b"), "type_error"),
        ("Expected `object`, got `array`", ("body",), "type_error"),
        ("Object missing required field `prompt`", ("body", "prompt"), "missing"),
        (
            "Object missing required field `role` - at `$.chat_history[2]`",
            ("body", "chat_history", 2, "role"),
            "missing",
        ),
        ("Object contains unknown field `x` - at `$.a`", ("body", "a", "x"), "unknown"),
        ("Expected `float` <= 2.0 - at `$.temperature`", ("body", "temperature"), "value_error"),
        ("Invalid enum value 'x' - at `$.role`", ("body", "role"), "value_error"),
        ("Expected `str`, got `array` - at `$.bindings[...]`", ("body", "bindings"), "type_error"),
        ("Expected `str` - at `key` in `$.x`", ("body",), "value_error"),
        ("words with - at `$.a` inside - at `$.b`", ("body", "b"), "value_error"),
    ],
)
def test_places_are_translated(text: str, loc: tuple[str | int, ...], kind: str) -> None:
    error = field_error(text)
    assert (error.loc, error.type) == (loc, kind)
    assert error.msg
