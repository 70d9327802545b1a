"""Reranking with an embedding model: the cosine of the query's and the chunk's vectors.

Fast and needs no other weights, but coarser than a cross-encoder, which reads query and chunk together.
"""

from collections.abc import Sequence
from typing import ClassVar

import msgspec
import numpy as np

from modelyard.engines.base import Tokens, Vectors, Weights
from modelyard.engines.onnx_embedding import OnnxEmbedding
from modelyard.engines.parameters import BiEncoderParameters


class BiEncoder:
    """Scores are cosines, from -1 to 1."""

    parameters_type: ClassVar = BiEncoderParameters

    def __init__(self, parameters: BiEncoderParameters, weights: Weights) -> None:
        self._prefix = parameters.query_prefix
        self._engine = OnnxEmbedding(msgspec.structs.replace(parameters, query_prefix=""), weights)
        self.batch_size = parameters.batch_size

    def load(self) -> None:
        self._engine.load()

    def close(self) -> None:
        self._engine.close()

    def tokenize_query(self, query: str, chunks: Sequence[str]) -> list[Tokens]:
        return self._engine.tokenize([self._prefix + query, *chunks])

    def embed(self, batch: Sequence[Tokens]) -> Vectors:
        return self._engine.embed(batch)

    def compare(self, query: Vectors, chunks: Vectors) -> list[float]:
        lengths = np.linalg.norm(chunks, axis=1) * np.linalg.norm(query)
        cosines = chunks @ query / np.maximum(lengths, 1e-12)
        return [float(score) for score in np.clip(cosines, -1.0, 1.0)]
