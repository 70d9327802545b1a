"""Embedding requests that are longer than a server takes at once: cut into batches, and the answers put together."""

from collections.abc import Sequence

import msgspec

from modelyard.domain.inference import EmbeddingRequest, EmbeddingResult


def batches(request: EmbeddingRequest, size: int | None) -> list[EmbeddingRequest]:
    """``request`` in pieces of at most ``size`` texts; None: all at once."""
    texts = request.texts
    if size is None or len(texts) <= size:
        return [request]
    pieces = [texts[start : start + size] for start in range(0, len(texts), size)]
    return [msgspec.structs.replace(request, texts=piece) for piece in pieces]


def joined(results: Sequence[EmbeddingResult]) -> EmbeddingResult:
    """One result of several, in their order, vectors unread. Tokens are known where every batch told them."""
    if len(results) == 1:
        return results[0]
    lists = [bytes(result.embeddings).strip()[1:-1] for result in results]
    counts = [result.tokens_used for result in results]
    tokens = None if None in counts else sum(count or 0 for count in counts)
    return EmbeddingResult(msgspec.Raw(b"[" + b",".join(lists) + b"]"), tokens)
