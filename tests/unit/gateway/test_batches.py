"""Long embedding requests, cut and put together again."""

import asyncio
import json

import msgspec
import pytest

from modelyard.domain.inference import Bindings, EmbeddingRequest, EmbeddingResult
from modelyard.errors import UpstreamError
from modelyard.gateway.batches import batches, joined
from modelyard.gateway.together import AT_ONCE, together


@pytest.mark.parametrize(
    ("size", "sizes"), [(None, [5]), (9, [5]), (5, [5]), (4, [4, 1]), (2, [2, 2, 1]), (1, [1, 1, 1, 1, 1])]
)
def test_no_batch_is_larger_than_it_may_be_and_no_text_is_lost(size: int | None, sizes: list[int]) -> None:
    request = EmbeddingRequest(list("abcde"), Bindings({"x": 1}))
    parts = batches(request, size)
    assert [len(part.texts) for part in parts] == sizes
    assert [text for part in parts for text in part.texts] == request.texts
    assert all(part.model_request_parameters == request.model_request_parameters for part in parts)


def test_answers_are_joined_in_order_and_their_numbers_stay_as_written() -> None:
    parts = [
        EmbeddingResult(msgspec.Raw(b'[["a",[1.50e-1]],["b",[2]]]'), 3),
        EmbeddingResult(msgspec.Raw(b' [["c",[3]]] '), 4),
    ]
    result = joined(parts)
    assert bytes(result.embeddings) == b'[["a",[1.50e-1]],["b",[2]],["c",[3]]]'
    assert json.loads(bytes(result.embeddings))[2] == ["c", [3]]
    assert result.tokens_used == 7


def test_tokens_are_unknown_where_one_batch_did_not_tell() -> None:
    parts = [EmbeddingResult(msgspec.Raw(b"[]"), 3), EmbeddingResult(msgspec.Raw(b"[]"), None)]
    assert joined(parts).tokens_used is None


async def test_together_keeps_the_order_and_a_bound() -> None:
    running = peak = 0

    async def ask(item: int) -> int:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0)
        running -= 1
        return item * 2

    assert await together(ask, list(range(30))) == [item * 2 for item in range(30)]
    assert 1 < peak <= AT_ONCE


async def test_together_raises_the_first_failure_as_it_is_and_ends_the_others() -> None:
    ended: list[int] = []

    async def ask(item: int) -> int:
        if item == 1:
            raise UpstreamError("broken")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(item)
        return item

    with pytest.raises(UpstreamError, match="broken"):
        await together(ask, [0, 1, 2])
    assert sorted(ended) == [0, 2]
