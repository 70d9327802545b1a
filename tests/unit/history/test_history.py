"""Trimming a conversation: what stays, what goes, and that counting decides it."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.domain.history import (
    CONTEXT_LENGTH_EXCEEDED,
    Trimmed,
    estimate,
    estimate_text,
    surely_fits,
    text_bound,
    trim,
    turns,
    without,
)
from modelyard.domain.inference import ImageUrl, Message, Part
from modelyard.errors import InvalidRequest

Count = Callable[[Sequence[Message]], int]


def words(messages: Sequence[Message]) -> int:
    """A model whose tokens are words, and whose template adds two to each message."""
    return sum(len(str(message.content).split()) + 2 for message in messages)


def run(messages: Sequence[Message], window: int, max_tokens: int | None, count: Count = words) -> tuple[Trimmed, int]:
    """What `trim` makes of it, and how many counts it took."""
    search = trim(messages, window, max_tokens)
    asked = next(search)
    counts = 0
    while True:
        counts += 1
        try:
            asked = search.send(count(asked))
        except StopIteration as done:
            return done.value, counts


def system(text: str) -> Message:
    return Message("system", text)


def user(text: str) -> Message:
    return Message("user", text)


def assistant(text: str) -> Message:
    return Message("assistant", text)


CONVERSATION = [
    system("be brief"),
    user("one"),
    assistant("first answer"),
    user("two"),
    assistant("second"),
    user("three"),
]

texts = st.integers(1, 12).map(lambda number: " ".join(["w"] * number))
histories = st.lists(st.builds(Message, st.sampled_from(["system", "user", "assistant"]), texts), max_size=14)


def test_everything_is_kept_while_it_fits() -> None:
    trimmed, counts = run(CONVERSATION, 100, 10)
    assert trimmed == Trimmed(CONVERSATION, 0, words(CONVERSATION))
    assert counts == 1


def test_the_oldest_turn_goes_first_and_whole() -> None:
    total = words(CONVERSATION)
    trimmed, _ = run(CONVERSATION, total, 1)
    assert trimmed.messages == [CONVERSATION[0], *CONVERSATION[3:]]
    assert trimmed.dropped == 2


def test_an_exact_fit_is_a_fit() -> None:
    total = words(CONVERSATION)
    assert run(CONVERSATION, total + 5, 5)[0].dropped == 0
    assert run(CONVERSATION, total + 4, 5)[0].dropped > 0


def test_room_for_one_token_of_an_answer_is_kept() -> None:
    total = words(CONVERSATION)
    assert run(CONVERSATION, total + 1, None)[0].dropped == 0
    assert run(CONVERSATION, total, None)[0].dropped > 0


def test_what_cannot_fit_is_refused_with_the_counts() -> None:
    with pytest.raises(InvalidRequest) as caught:
        run(CONVERSATION, 8, 2)
    assert caught.value.code == CONTEXT_LENGTH_EXCEEDED
    text = str(caught.value)
    assert "7 tokens" in text  # "be brief" and "three" with two each for the template
    assert "asks for 2 more" in text
    assert "holds 8" in text


def test_a_lone_prompt_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="12 tokens"):
        run([user("w " * 10)], 12, None)


def test_turns_begin_with_users() -> None:
    assert turns(CONVERSATION) == [range(3), range(3, 5), range(5, 6)]
    assert turns([assistant("hello"), user("a"), assistant("b"), user("c")]) == [range(1), range(1, 3), range(3, 4)]
    assert turns([user("a"), user("b"), user("c")]) == [range(1), range(1, 2), range(2, 3)]
    assert turns([user("a"), system("late"), assistant("b"), user("c")]) == [range(3), range(3, 4)]


def test_system_messages_within_dropped_turns_stay_in_their_order() -> None:
    late = system("late")
    messages = [system("early"), user("a"), late, assistant("b"), user("c")]
    assert without(messages, turns(messages)[:1]) == [messages[0], late, messages[4]]


@given(histories, st.integers(1, 120), st.none() | st.integers(1, 30))
def test_trimming_keeps_its_promises(history: list[Message], window: int, max_tokens: int | None) -> None:
    messages = [*history, user("the prompt")]
    try:
        trimmed, counts = run(messages, window, max_tokens)
    except InvalidRequest as error:
        assert error.code == CONTEXT_LENGTH_EXCEEDED  # noqa: PT017
        smallest = without(messages, turns(messages)[:-1])
        assert words(smallest) + (max_tokens or 1) > window
        return
    kept = trimmed.messages
    assert words(kept) == trimmed.tokens
    assert trimmed.tokens + (max_tokens or 1) <= window
    assert kept[-1] == messages[-1]
    assert [m for m in kept if m.role == "system"] == [m for m in messages if m.role == "system"]
    assert trimmed.dropped == len(messages) - len(kept)
    assert counts <= len(turns(messages)).bit_length() + 2
    # Whole turns, oldest first, and not one more than needed.
    dropped = next(n for n in range(len(turns(messages))) if without(messages, turns(messages)[:n]) == kept)
    if dropped:
        one_more = without(messages, turns(messages)[: dropped - 1])
        assert words(one_more) + (max_tokens or 1) > window


@given(histories, st.integers(20, 120))
def test_trimming_is_deterministic(history: list[Message], window: int) -> None:
    messages = [*history, user("p")]
    try:
        first = run(messages, window, None)
    except InvalidRequest:
        return
    assert run(messages, window, None) == first


@given(st.text())
def test_no_estimate_is_above_the_bytes_there_are(text: str) -> None:
    assert 0 <= estimate_text(text) <= text_bound(text) + 2


@pytest.mark.parametrize(
    ("text", "least"),
    [("1234567890", 10), ("hello world, how are you?", 6), ("東京は日本の首都です", 10), ("", 0)],
)
def test_estimates_err_on_the_high_side(text: str, least: int) -> None:
    # `least`: what cl100k and SmolLM2's tokenizers make of it, or more
    assert estimate_text(text) >= least


def test_images_count_as_images_and_not_as_their_bytes() -> None:
    message = Message("user", [Part(text="see"), Part(image_url=ImageUrl("data:image/png;base64," + "A" * 100_000))])
    assert 500 < estimate([message]) < 2000


def test_short_conversations_need_no_counting() -> None:
    assert surely_fits([user("hello")], 100, None)
    assert not surely_fits([user("hello")], 100, 80)
    assert not surely_fits([user("w " * 200)], 100, None)


@given(histories, st.integers(1, 200), st.none() | st.integers(1, 50))
def test_what_surely_fits_fits_a_byte_tokenizer_or_is_estimated_below_the_limit(
    history: list[Message], window: int, max_tokens: int | None
) -> None:
    messages = [*history, user("p")]
    if surely_fits(messages, window, max_tokens):
        assert (
            estimate(messages) + (max_tokens or 0) < window
            or sum(text_bound(str(m.content)) for m in messages) + (max_tokens or 0) < window
        )
