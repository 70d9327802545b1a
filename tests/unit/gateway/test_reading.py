"""msgspec's words about what is wrong, with the place in ours; and how much of a body is read at all."""

from typing import Any

import pytest

from modelyard.errors import TooLarge
from modelyard.http.inference.reading import field_error, read_body


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


def received(*pieces: bytes) -> Any:
    left = [{"type": "http.request", "body": each, "more_body": at + 1 < len(pieces)} for at, each in enumerate(pieces)]

    async def receive() -> Any:
        return left.pop(0)

    return receive


@pytest.mark.parametrize(
    ("announced", "pieces"),
    [(b"11", ()), (b"9" * 30, ()), (None, (b"x" * 11,)), (b"5", (b"x" * 11,)), (None, (b"x" * 6, b"x" * 5, b"x"))],
)
async def test_a_body_is_bounded_as_announced_as_a_whole_and_in_pieces(
    announced: bytes | None, pieces: tuple[bytes, ...]
) -> None:
    headers = [] if announced is None else [(b"content-length", announced)]
    with pytest.raises(TooLarge):
        await read_body({"headers": headers}, received(*pieces), 10)


async def test_what_is_within_the_bound_is_whole() -> None:
    assert await read_body({"headers": [(b"content-length", b"10")]}, received(b"x" * 6, b"y" * 4), 10) == b"xxxxxxyyyy"
