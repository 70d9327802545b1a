"""Which part of a conversation a model gets to see when not all of it fits.

The rules: nothing is dropped while everything fits; then whole turns go, oldest first; a system message and
the newest turn never go. Counting is the model's own business (its tokenizer, its chat template), so `trim`
asks for counts instead of making them: it is a generator that yields message lists and is sent their counts.
It asks for about ``log2(turns) + 2`` of them, and the same conversation always ends the same way.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec

from modelyard.domain.inference import ChatResult, Message, Tool
from modelyard.errors import FieldError, InvalidRequest

CONTEXT_LENGTH_EXCEEDED = "context_length_exceeded"

EXACT_FROM = 0.8
"""Share of the context window from which an estimate is not good enough."""

MESSAGE_TOKENS = 8
"""What a chat template adds around one message; ChatML and Llama 3 add 4 to 6."""

IMAGE_TOKENS = 768
"""A common size of one image in tokens (a 672 x 672 image in LLaVA's or Qwen's patches is 576 to 784)."""

_encode = msgspec.json.Encoder().encode

_DIGITS = "0123456789"


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What is sent: ``messages`` of ``tokens`` tokens, ``dropped`` messages less than were given."""

    messages: list[Message]
    dropped: int
    tokens: int


def text_bound(text: str) -> int:
    """Bytes of ``text`` in UTF-8: no byte-level tokenizer makes more tokens of it."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def estimate_text(text: str) -> int:
    """Roughly how many tokens ``text`` has, on the high side: exact counts are cheap, a wrong guess is not.

    Latin text has 3.5 to 4.5 bytes a token and is counted with 3; digits, which many tokenizers split, count
    one each; other scripts have 0.6 (large vocabularies) to 2.5 tokens a character of 2 to 4 bytes.
    """
    size = text_bound(text)
    foreign = 0 if size == len(text) else size - len(text.encode("ascii", "ignore"))
    digits = sum(map(text.count, _DIGITS))
    return digits + (foreign * 3 + 3) // 4 + (size - foreign - digits + 2) // 3


def texts_of(message: Message) -> list[str]:
    """All that a model reads of a message, images aside."""
    calls = [text for call in message.tool_calls or () for text in (call.function.name, call.function.arguments)]
    if isinstance(message.content, str):
        return [message.content, *calls]
    return [*(part.text for part in message.content if part.text is not None), *calls]


def _images(message: Message) -> int:
    return 0 if isinstance(message.content, str) else sum(part.text is None for part in message.content)


def image_tokens(messages: Sequence[Message]) -> int:
    """What the images in ``messages`` come to; only their model could count them."""
    return IMAGE_TOKENS * sum(map(_images, messages))


def estimate(messages: Sequence[Message]) -> int:
    """Roughly how many tokens a conversation has, its template included; see `estimate_text`."""
    text = sum(estimate_text(text) for message in messages for text in texts_of(message))
    return text + MESSAGE_TOKENS * (len(messages) + 1) + image_tokens(messages)


def tool_tokens(tools: Sequence[Tool] | None) -> int:
    """Roughly how many tokens the description of ``tools`` has, which chat templates write out as JSON."""
    return sum(estimate_text(_encode(tool).decode()) for tool in tools) if tools else 0


def estimate_answer(result: ChatResult) -> int:
    """Roughly how many tokens an answer has."""
    calls = result.message.tool_calls or ()
    texts = [text for call in calls for text in (call.function.name, call.function.arguments)]
    return sum(map(estimate_text, (result.message.content, result.reasoning or "", *texts)))


def surely_fits(messages: Sequence[Message], window: int, max_tokens: int | None, *, beside: int = 0) -> bool:
    """Whether ``messages`` may be sent uncounted: an upper bound, or else the estimate, stays below the
    share `EXACT_FROM` of the window. ``beside``: tokens of the prompt that stand in no message."""
    limit = EXACT_FROM * window - (max_tokens or 0) - beside
    bound = MESSAGE_TOKENS * (len(messages) + 1)
    for message in messages:
        content = message.content
        if not isinstance(content, str) or message.tool_calls:
            return estimate(messages) < limit
        bound += len(content) if content.isascii() else text_bound(content)
    return bound < limit or estimate(messages) < limit


def turns(messages: Sequence[Message]) -> list[range]:
    """The conversation as turns, oldest first: a user's message begins one, what follows belongs to it.
    System messages at the beginning belong to the first turn, an opening of the assistant's is one itself."""
    starts = [0]
    begun = False
    for index, message in enumerate(messages):
        if message.role == "system":
            continue
        if message.role == "user" and begun:
            starts.append(index)
        begun = True
    return [range(start, end) for start, end in pairwise([*starts, len(messages)])]


def without(messages: Sequence[Message], dropped: Sequence[range]) -> list[Message]:
    """``messages`` less those of the turns ``dropped``, whose system messages stay where they are."""
    end = dropped[-1].stop if dropped else 0
    return [message for index, message in enumerate(messages) if index >= end or message.role == "system"]


def trim(messages: Sequence[Message], window: int, max_tokens: int | None) -> Generator[list[Message], int, Trimmed]:
    """Drop as few of the oldest turns as makes ``messages`` and ``max_tokens`` (at least one token of answer)
    fit into ``window``.

    Yields a list of messages, wants its exact token count sent, and returns a `Trimmed` whose messages were
    counted to fit. Raises `InvalidRequest` (code context_length_exceeded) where even the newest turn does not.
    """
    answer = max(max_tokens or 1, 1)
    budget = window - answer
    given = list(messages)
    total = yield given
    if total <= budget:
        return Trimmed(given, 0, total)
    droppable = turns(given)[:-1]
    fewest, tokens = without(given, droppable), total
    if droppable:
        tokens = yield fewest
    if tokens > budget:
        raise too_long(tokens, max_tokens, window)
    # The first `low` turns are known to be too few, the first `high` to be enough (`fewest`, `tokens`).
    low, high = 0, len(droppable)
    while high - low > 1:
        middle = (low + high) // 2
        kept = without(given, droppable[:middle])
        count = yield kept
        if count <= budget:
            high, fewest, tokens = middle, kept, count
        else:
            low = middle
    return Trimmed(fewest, len(given) - len(fewest), tokens)


def too_long(tokens: int, max_tokens: int | None, window: int) -> InvalidRequest:
    """What cannot be made to fit, with the counts."""
    wanted = f" and max_tokens asks for {max_tokens} more" if max_tokens else ""
    msg = (
        f"the prompt has {tokens} tokens{wanted}, but the model's context window holds {window}; "
        "shorten the prompt or ask for fewer tokens"
    )
    return InvalidRequest([FieldError(("body",), msg, CONTEXT_LENGTH_EXCEEDED)], code=CONTEXT_LENGTH_EXCEEDED)
