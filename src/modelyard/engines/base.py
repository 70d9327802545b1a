"""The engine seam: what a worker's HTTP side asks of whatever computes.

Capabilities are types, not flags: an engine that embeds has `Embeds`, one that reranks has `Reranks` or
`Compares`. Engines are synchronous; the worker's batcher calls ``embed`` and ``score`` from one thread and
puts texts of many requests together, while ``tokenize`` may run beside them. An engine with an HTTP server
of its own (llama.cpp, vLLM) is a `ServerEngine` instead: the gateway talks to it directly.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from modelyard.domain.inference import ChatRequest, Chunk, CompletionRequest

Vectors = npt.NDArray[np.float32]


class Tokens(NamedTuple):
    """One text, or one pair of texts, as the model reads it: special tokens included, truncated to its limit."""

    ids: Sequence[int]
    types: Sequence[int]
    """Segment of each token: 0, and 1 in the second text of a pair."""


class Weights(Protocol):
    """Where engines get their files from: `modelyard.weights.cache.WeightCache`, watched by the worker."""

    def resolve(self, uri: str) -> Path:
        """The local file or directory for a weight URI; raises `WeightsError`."""
        ...

    def derive(self, source: Path, name: str, make: Callable[[Path, Path], None]) -> Path:
        """A file made once from another, ``make(source, target)``, and kept beside it."""
        ...


class Engine(Protocol):
    def load(self) -> None:
        """Import what is heavy and load the weights; raises `EngineError` or `WeightsError` with a remedy."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Embeds(Protocol):
    def tokenize(self, texts: Sequence[str]) -> list[Tokens]: ...

    def embed(self, batch: Sequence[Tokens]) -> Vectors:
        """One row per text, shape (len(batch), dimensions), float32."""
        ...


@runtime_checkable
class Reranks(Protocol):
    def tokenize_pairs(self, query: str, chunks: Sequence[str]) -> list[Tokens]: ...

    def score(self, batch: Sequence[Tokens]) -> list[float]:
        """One score for each (query, chunk); higher is more relevant."""
        ...


@runtime_checkable
class Compares(Protocol):
    """Reranks by comparing embeddings: the query is embedded once, however many chunks there are."""

    def tokenize_query(self, query: str, chunks: Sequence[str]) -> list[Tokens]:
        """The query first, then the chunks."""
        ...

    def embed(self, batch: Sequence[Tokens]) -> Vectors: ...

    def compare(self, query: Vectors, chunks: Vectors) -> list[float]:
        """Scores of ``chunks``, shape (n, dimensions), against ``query``, shape (dimensions,)."""
        ...


@runtime_checkable
class Generates(Protocol):
    @property
    def concurrency(self) -> int:
        """Texts that may be generated at the same time, each on a thread of its own."""
        ...

    def generate(self, request: ChatRequest | CompletionRequest) -> Iterator[Chunk]:
        """Pieces of one text; the last carries finish_reason and token counts. A completion request has one
        prompt. Closing the iterator stops the generation."""
        ...


@runtime_checkable
class Executes(Protocol):
    @property
    def concurrency(self) -> int: ...

    def execute(self, body: Any) -> Any:
        """Any JSON value in, any out: what AGENT, BUNDLE and GENERIC models do."""
        ...


@runtime_checkable
class ServerEngine(Protocol):
    def serve(self, host: str, port: int) -> None:
        """Listen and return once requests are answered; the engine's own threads serve them."""
        ...

    def exit_code(self) -> int | None:
        """None while the server runs; its exit code when it ended by itself."""
        ...

    def drain(self) -> None:
        """Take no new requests and return when those under way are finished."""
        ...
