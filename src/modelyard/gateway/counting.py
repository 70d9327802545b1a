"""Token counts of answers, told to the call that they belong to."""

from collections.abc import Iterable, Sequence

from msgspec import UNSET

from modelyard.domain.history import estimate_text
from modelyard.domain.inference import Chunk, CompletionResult
from modelyard.gateway.metering import Call


def count_chunks(call: Call, chunks: list[Chunk]) -> None:
    """What has just come of a stream."""
    call.first_byte()
    for chunk in chunks:
        if chunk.finish_reason is not None:
            call.count(chunk.prompt_tokens, chunk.response_tokens, chunk.cached_tokens, chunk.reasoning_tokens)
        elif chunk.text or chunk.reasoning or chunk.tool_calls:
            # Engines stream a token at a time.
            call.estimated_response += 1


def count_completion(call: Call, result: CompletionResult) -> None:
    """What came of a completion; its texts are estimated where the worker told no counts."""
    if result.response_tokens is None:
        call.estimated_response = sum(estimate_text(text) for _, texts in result.completions for text in texts)
    call.count(result.prompt_tokens, result.response_tokens, result.cached_tokens, result.reasoning_tokens)


def in_one(results: Sequence[CompletionResult]) -> CompletionResult:
    """What came of each prompt's own request, as the answer to them all."""
    cached = [None if result.cached_tokens is UNSET else result.cached_tokens for result in results]
    reasoning = [None if result.reasoning_tokens is UNSET else result.reasoning_tokens for result in results]
    return CompletionResult(
        [pair for result in results for pair in result.completions],
        results[-1].finish_reason,
        total(result.prompt_tokens for result in results),
        total(result.response_tokens for result in results),
        None,
        UNSET if (all_cached := total(cached)) is None else all_cached,
        UNSET if (all_reasoning := total(reasoning)) is None else all_reasoning,
    )


def total(counts: Iterable[int | None]) -> int | None:
    """The sum; None where one of them is not known."""
    known = list(counts)
    return None if None in known else sum(count or 0 for count in known)
