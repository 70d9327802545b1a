"""Text embeddings on onnxruntime: any encoder in ONNX with its tokenizer.json."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from modelyard.engines.base import Tokens, Vectors, Weights
from modelyard.engines.onnx_encoder import OnnxEncoder
from modelyard.engines.parameters import EmbeddingParameters
from modelyard.errors import EngineError

_POOLED = ("sentence_embedding", "pooled", "embeddings")
_HIDDEN = ("last_hidden_state", "token_embeddings", "hidden_states")


class OnnxEmbedding:
    """Vectors of texts. A graph whose output has two dimensions has pooled already; otherwise the parameter
    ``pooling`` says how: ``mean`` over the tokens, the first (``cls``) or the ``last`` token."""

    parameters_type: ClassVar = EmbeddingParameters

    def __init__(self, parameters: EmbeddingParameters, weights: Weights) -> None:
        self._parameters = parameters
        self._encoder = _Encoder(parameters, weights)
        self.batch_size = parameters.batch_size

    def load(self) -> None:
        self._encoder.load()
        self.embed(self._encoder.tokenize(["warm up"]))

    def close(self) -> None:
        self._encoder.close()

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        prefix = self._parameters.query_prefix
        return self._encoder.tokenize([prefix + text for text in texts] if prefix else texts)

    def embed(self, batch: Sequence[Tokens]) -> Vectors:
        output, mask = self._encoder.run(batch)
        if output.ndim not in (2, 3):
            raise EngineError(f"An embedding model's output has 2 or 3 dimensions; this one has {output.ndim}.")
        vectors = output if output.ndim == 2 else _pool(output, mask, self._parameters.pooling)
        vectors = vectors.astype(np.float32, copy=False)
        if self._parameters.normalize:
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return np.ascontiguousarray(vectors)


class _Encoder(OnnxEncoder):
    def _choose_output(self, names: list[str]) -> str:
        return next((name for name in (*_POOLED, *_HIDDEN) if name in names), names[0])


def _pool(hidden: Any, mask: Any, how: str) -> Any:
    """``hidden`` of shape (texts, tokens, dimensions) to (texts, dimensions), padding left out."""
    if how == "cls":
        return hidden[:, 0]
    if how == "last":
        return hidden[np.arange(len(hidden)), mask.sum(axis=1) - 1]
    weights = mask.astype(np.float32)
    return np.einsum("btd,bt->bd", hidden, weights) / np.maximum(weights.sum(axis=1, keepdims=True), 1)
