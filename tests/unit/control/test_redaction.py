"""What accounts do not want to be stored is not stored, however it is written."""

import json

import pytest

from modelyard.control.call_log.redaction import Redaction, check
from modelyard.control.call_log.streamed_answers import folded, is_stream
from modelyard.errors import InvalidRequest

MAIL = r"[\w.]+@[\w.]+"


def test_patterns_are_checked_and_each_is_named() -> None:
    check([MAIL, r"\d{16}"])
    with pytest.raises(InvalidRequest) as caught:
        check([MAIL, "(?=x)", "[", "a*", r"\C"])
    assert [error.loc for error in caught.value.errors] == [("body", "redact", number) for number in (1, 2, 3, 4)]
    assert caught.value.code == "invalid_pattern"


def test_texts_keys_and_numbers_in_json_are_replaced_whatever_their_escapes() -> None:
    body = b'{"a": ["jo\\u0040example.org", {"me@x.org": 1}], "card": 4111111111111111, "n": 3, "f": 1.5}'
    kept = Redaction([MAIL, r"^4\d{15}$"]).body(body, 1000)
    assert json.loads(kept.text) == {"a": ["[redacted]", {"[redacted]": 1}], "card": "[redacted]", "n": 3, "f": 1.5}
    assert not kept.truncated


def test_what_is_no_json_is_redacted_as_text() -> None:
    assert Redaction([MAIL]).body(b"{mail me@x.org \xff", 1000).text == "{mail [redacted] \ufffd"
    assert Redaction([]).body(b"", 10).text == ""


@pytest.mark.parametrize(
    ("body", "cut"),
    [
        (b'{"x": "\\ud800", "m": "jo\\u0040example.org"}', False),
        (b'{"m": "jo\\u0040example.org"}', True),
        (b'{"m": "jo\\u0040example.org"', False),
        (b'\xef\xbb\xbf{"m": "jo\\u0040example.org"}', False),
        (b"[" * 5000 + b'"jo\\u0040example.org"' + b"]" * 5000, False),
        (b'{"m": "\\u006ao\\u0040example\\u002Eorg"', False),
    ],
)
def test_escapes_hide_nothing_where_it_is_no_whole_json_either(body: bytes, cut: bool) -> None:
    text = Redaction([MAIL]).body(body, 20_000, cut=cut).text
    assert "[redacted]" in text
    assert "example" not in text


def test_slashes_may_be_escaped_and_what_does_not_print_stays_so() -> None:
    kept = Redaction(["https://secret"]).body(b'{"a": "https:\\/\\/secret", "b": "\\u0000\\ud83d\\u000a', 1000)
    assert kept.text == '{"a": "[redacted]", "b": "\\u0000\\ud83d\\u000a'


@pytest.mark.parametrize(
    "number", ["4111111111111111", "-4111111111111111", "4111111111111111.0", "4.111111111111111e15"]
)
def test_numbers_are_found_however_they_are_written(number: str) -> None:
    body = f'{{"card": {number}, "big": 1e300, "small": 0.5, "yes": true}}'.encode()
    kept = json.loads(Redaction([r"4\d{15}"]).body(body, 1000).text)
    assert kept == {"card": "[redacted]", "big": 1e300, "small": 0.5, "yes": True}


def test_no_name_in_an_object_takes_another_s_place() -> None:
    kept = Redaction([MAIL]).body(b'{"a@x.org": 1, "b@x.org": 2, "[redacted] (2)": 3}', 1000)
    assert json.loads(kept.text) == {"[redacted]": 1, "[redacted] (2)": 2, "[redacted] (2) (2)": 3}


def test_without_patterns_a_body_is_kept_to_the_byte() -> None:
    body = '{"a":  1.50, "a": "\\u0040"}'
    assert Redaction([]).body(body.encode(), 1000).text == body


def test_redacted_first_and_cut_then() -> None:
    """Otherwise half of a secret would stay where the cut goes through it."""
    kept = Redaction([r"secret-\w{8}"]).body(b'"xxxx secret-abcdefgh"', 14)
    assert (kept.text, kept.truncated) == ('"xxxx [redacte', True)
    assert Redaction([]).body("é".encode() * 3, 3).text == "é"


@pytest.mark.parametrize(
    ("patterns", "value"),
    [
        (["^ab$"], ["x", "ab", "y"]),
        ([r"\Aab"], ["x", "ab"]),
        ([r"ab\z"], ["ab", "x"]),
        (["(?-m)^ab"], ["x", "ab"]),
        ([r"\Qab", r"\Qx\E"], ["ab"]),
        ([*("(?:[ab]x){500}" * 36 + str(n) for n in range(10)), "ab"], ["ab"]),
        ([r"\bab\b"], ["x", "ab", "y"]),
        ([r"\B-"], ["x", "-"]),
        (["x", "(?i)AB"], {"y": {"ab": ["z"]}}),
        (["1{7}", "x"], {"y": [[1111111]]}),
        (["^1{7}$"], {"y": [[1111111.0]]}),
    ],
)
def test_texts_that_are_looked_at_together_hide_nothing(patterns: list[str], value: object) -> None:
    assert "[redacted]" in Redaction(patterns).body(json.dumps(value).encode(), 1000).text


def test_texts_are_not_taken_for_one() -> None:
    body = b'["a","b",3]'
    assert Redaction(["a.?b", r"a\nb", '","', r"b\s3"]).body(body, 1000).text.encode() == body


def test_a_pattern_that_would_take_for_ever_elsewhere_takes_no_time() -> None:
    assert Redaction(["(a+)+$"]).text("a" * 50_000 + "b") == "a" * 50_000 + "b"


def events(*bodies: object) -> bytes:
    return b"".join(b"data: " + json.dumps(body).encode() + b"\n\n" for body in bodies)


def test_a_stream_of_openai_is_put_together() -> None:
    def piece(**delta: object) -> dict[str, object]:
        return {"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}

    def call(**function: str) -> dict[str, object]:
        return {"tool_calls": [{"index": 1, "function": function}]}

    end = {"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    stream = events(
        piece(role="assistant", content="me@"), piece(content="x.org"), piece(**call(name="f", arguments="{"))
    )
    stream += b": waiting\n\n" + events(
        piece(**call(arguments="}")), end, {"id": "x", "choices": [], "usage": {"n": 1}}
    )
    assert is_stream(stream)
    whole = json.loads(folded(stream + b"data: [DONE]\n\ndata: {cut"))
    [choice] = whole["choices"]
    assert choice["delta"]["content"] == "me@x.org"
    assert choice["delta"]["tool_calls"] == [{"index": 1, "function": {"name": "f", "arguments": "{}"}}]
    assert (choice["finish_reason"], whole["usage"]) == ("stop", {"n": 1})


def test_a_stream_of_v4_is_put_together() -> None:
    def piece(text: str, reason: str | None = None) -> dict[str, object]:
        return {"completions": [["hi", [text]]], "choices": [{"index": 0, "logprobs": None}], "finish_reason": reason}

    whole = json.loads(folded(events(piece("me@"), piece("x.org"), piece("", "stop"))))
    assert whole["completions"] == [["hi", ["me@x.org"]]]
    assert whole["finish_reason"] == "stop"
    assert folded(b": nothing\n\ndata: 1\n\n") == b""
