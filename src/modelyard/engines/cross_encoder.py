"""Reranking with a cross-encoder: a sequence-classification model in ONNX that reads query and chunk together."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from modelyard.engines.base import Tokens, Weights
from modelyard.engines.onnx_encoder import OnnxEncoder
from modelyard.engines.parameters import CrossEncoderParameters
from modelyard.errors import EngineError


class CrossEncoder:
    """Scores are the model's logit, put between 0 and 1 by ``activation: sigmoid``. A model with two classes
    (no, yes) scores by the difference of their logits, whose sigmoid is the probability of yes."""

    parameters_type: ClassVar = CrossEncoderParameters

    def __init__(self, parameters: CrossEncoderParameters, weights: Weights) -> None:
        self._sigmoid = parameters.activation == "sigmoid"
        self._encoder = _Encoder(parameters, weights)
        self.batch_size = parameters.batch_size

    def load(self) -> None:
        self._encoder.load()
        self.score(self._encoder.tokenize_pairs("warm up", ["warm up"]))

    def close(self) -> None:
        self._encoder.close()

    def tokenize_pairs(self, query: str, chunks: Sequence[str]) -> list[Tokens]:
        return self._encoder.tokenize_pairs(query, chunks)

    def score(self, batch: Sequence[Tokens]) -> list[float]:
        logits, _ = self._encoder.run(batch)
        logits = np.asarray(logits, dtype=np.float64).reshape(len(batch), -1)
        match logits.shape[1]:
            case 1:
                scores = logits[:, 0]
            case 2:
                scores = logits[:, 1] - logits[:, 0]
            case classes:
                raise EngineError(
                    f"A cross-encoder has 1 class, or 2; this model gives {classes} numbers for a pair.",
                    hint="For an embedding model use the bi-encoder engine.",
                )
        if self._sigmoid:
            scores = 0.5 * (1 + np.tanh(0.5 * scores))
        return [float(score) for score in scores]


class _Encoder(OnnxEncoder):
    def _choose_output(self, names: list[str]) -> str:
        return "logits" if "logits" in names else names[0]
