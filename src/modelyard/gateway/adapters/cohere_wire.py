"""Cohere's API v2 as structs: as much of it as chat, embed and rerank need, tolerant of what else is in there.

After https://docs.cohere.com/v2/reference/chat, …/embed, …/rerank, https://docs.cohere.com/v2/docs/streaming and the
types of the ``cohere`` package on PyPI (7.3.1).
"""

from typing import Any

import msgspec
from msgspec import Struct

from modelyard.domain.inference import TokenLogprob

MAX_TEXTS = 96
"""Of one embed request."""
MAX_K = 500
P_RANGE = (0.01, 0.99)
PENALTY_RANGE = (0.0, 1.0)

THINKING_BUDGETS = {"minimal": 512, "low": 1024, "medium": 4096, "high": 16384, "xhigh": 32768}
"""Tokens to think with for each reasoning_effort: Cohere takes a number, not a level."""

FINISH_REASONS = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}
"""ERROR and TIMEOUT are no answers, and raise."""

Number = int | float
"""Cohere writes counts as numbers of any kind."""


class Thinking(Struct, omit_defaults=True):
    type: str
    token_budget: int | None = None


class JsonFormat(Struct, omit_defaults=True):
    type: str
    json_schema: dict[str, Any] | None = None


class ChatBody(Struct, kw_only=True, omit_defaults=True):
    """The body of /v2/chat. ``stream`` is always said."""

    model: str
    messages: list[Any]
    stream: bool
    temperature: float | None = None
    p: float | None = None
    k: int | None = None
    max_tokens: int | None = None
    stop_sequences: list[str] | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logprobs: bool | None = None
    response_format: JsonFormat | None = None
    tools: list[Any] | None = None
    strict_tools: bool | None = None
    tool_choice: str | None = None
    thinking: Thinking | None = None


class EmbedBody(Struct):
    """The body of /v2/embed."""

    model: str
    texts: list[str]
    input_type: str = "search_document"
    embedding_types: tuple[str, ...] = ("float",)


class RerankBody(Struct):
    """The body of /v2/rerank."""

    model: str
    query: str
    documents: list[str]


class Tokens(Struct):
    input_tokens: Number | None = None
    output_tokens: Number | None = None


class Usage(Struct):
    """Of a chat, and ``meta`` of the other calls.

    ``billed_units`` is what the invoice has, ``tokens`` what the model read and wrote, Cohere's own instructions
    included. Usage here is what costs, so the former counts wherever it is told.
    """

    billed_units: Tokens | None = None
    tokens: Tokens | None = None
    cached_tokens: Number | None = None

    def counts(self) -> tuple[int | None, int | None]:
        """Tokens of the input and of the output."""
        billed = self.billed_units or Tokens()
        real = self.tokens or Tokens()
        return (
            whole(real.input_tokens if billed.input_tokens is None else billed.input_tokens),
            whole(real.output_tokens if billed.output_tokens is None else billed.output_tokens),
        )


class Function(Struct):
    name: str | None = None
    arguments: str | None = None


class ToolCall(Struct):
    id: str | None = None
    function: Function | None = None


class Block(Struct):
    """A piece of an answer's content: a text or a thought."""

    text: str | None = None
    thinking: str | None = None


class AnswerMessage(Struct):
    content: list[Block] | None = None
    tool_plan: str | None = None
    tool_calls: list[ToolCall] | None = None


class Logprob(Struct):
    """Of one piece of text, with one value for each of its tokens."""

    text: str | None = None
    logprobs: list[float] | None = None


class Answer(Struct):
    message: AnswerMessage
    finish_reason: str
    usage: Usage | None = None
    logprobs: list[Logprob] | None = None


class DeltaMessage(Struct):
    """The first event of a stream has lists where later ones have the next piece; some servers keep the lists."""

    content: Block | list[Any] | None = None
    tool_plan: str | None = None
    tool_calls: ToolCall | list[ToolCall] | None = None


class Delta(Struct):
    message: DeltaMessage | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    error: str | None = None


class Event(Struct):
    type: str
    index: int | None = None
    delta: Delta | None = None
    logprobs: Logprob | None = None


class Vectors(Struct):
    float: list[msgspec.Raw]


class EmbedAnswer(Struct):
    embeddings: Vectors
    meta: Usage | None = None


class Ranked(Struct):
    index: int
    relevance_score: float


class RerankAnswer(Struct):
    results: list[Ranked]
    meta: Usage | None = None


def whole(number: Number | None) -> int | None:
    return None if number is None else int(number)


def token_logprobs(items: list[Logprob] | None) -> list[TokenLogprob] | None:
    """Native log probabilities. Cohere gives texts of one token or several, and no text for the single tokens: the
    probability of the whole piece is the product, so its logarithm is the sum."""
    if items is None:
        return None
    return [TokenLogprob(item.text or "", sum(item.logprobs)) for item in items if item.logprobs]
