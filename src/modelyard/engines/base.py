"""The engine seam: what a worker's HTTP side asks of whatever computes.

Capabilities are types, not flags: an engine that embeds has `Embeds`, one that reranks has `Reranks`.
Engines are synchronous and single-threaded as far as their caller goes; the worker's batcher calls them
from one thread and puts requests together. An engine with an HTTP server of its own (llama.cpp, vLLM) is a
`ServerEngine` instead: the gateway talks to it directly.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from modelyard.domain.inference import ChatRequest, Chunk, CompletionRequest

Vectors = npt.NDArray[np.float32]


class Engine(Protocol):
    def load(self) -> None:
        """Import what is heavy and load the weights; raises `EngineError` or `WeightsError` with a remedy."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Embeds(Protocol):
    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as the model reads it, special tokens included, after truncation."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row per text, shape (len(texts), dimensions), float32."""
        ...


@runtime_checkable
class Reranks(Protocol):
    def count_pair_tokens(self, query: str, chunks: Sequence[str]) -> list[int]: ...

    def rerank(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """One score for each (query, chunk); higher is more relevant."""
        ...


@runtime_checkable
class Generates(Protocol):
    def generate(self, request: ChatRequest | CompletionRequest) -> Iterator[Chunk]:
        """Pieces of one text; the last carries finish_reason and token counts."""
        ...


@runtime_checkable
class ServerEngine(Protocol):
    def serve(self, host: str, port: int) -> None:
        """Listen and return once requests are answered; the engine's own threads serve them."""
        ...
