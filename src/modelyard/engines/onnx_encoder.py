"""What the engines on onnxruntime share: a transformer encoder in ONNX, and its tokenizer."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from modelyard.engines.base import Tokens, Weights
from modelyard.engines.parameters import EncoderParameters
from modelyard.errors import EngineError

MODEL_FILES = ("model.onnx", "onnx/model.onnx", "model_quantized.onnx", "onnx/model_quantized.onnx")

Array = npt.NDArray[Any]


def cpu_count() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class OnnxEncoder:
    """One ONNX graph with inputs ``input_ids``, ``attention_mask`` and perhaps ``token_type_ids``."""

    def __init__(self, parameters: EncoderParameters, weights: Weights) -> None:
        self._parameters = parameters
        self._weights = weights
        self._session: Any = None
        self._tokenizer: Any = None
        self._inputs: frozenset[str] = frozenset()
        self._output = ""
        self._pad_id = 0

    def load(self) -> None:
        model = self._model_file(self._weights.resolve(self._parameters.weights))
        tokenizer = self._tokenizer_file(model)
        self._load_tokenizer(tokenizer)
        self._load_session(model)
        self.run(self.tokenize(["warm up"]))

    def close(self) -> None:
        self._session = None

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Texts as the model reads them, special tokens included, cut at ``max_length``."""
        return [Tokens(encoded.ids, encoded.type_ids) for encoded in self._encode(texts)]

    def tokenize_pairs(self, query: str, chunks: Sequence[str]) -> list[Tokens]:
        """(query, chunk) as one text each; where that is too long, the chunk is cut."""
        return [Tokens(encoded.ids, encoded.type_ids) for encoded in self._encode([(query, chunk) for chunk in chunks])]

    def run(self, batch: Sequence[Tokens]) -> tuple[Array, Array]:
        """The graph's first output for a padded batch, and the attention mask, shape (len(batch), longest)."""
        longest = max(len(tokens.ids) for tokens in batch)
        ids = np.full((len(batch), longest), self._pad_id, dtype=np.int64)
        types = np.zeros((len(batch), longest), dtype=np.int64)
        mask = np.zeros((len(batch), longest), dtype=np.int64)
        for row, tokens in enumerate(batch):
            length = len(tokens.ids)
            ids[row, :length] = tokens.ids
            types[row, :length] = tokens.types
            mask[row, :length] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        try:
            outputs = self._session.run([self._output], {name: feed[name] for name in self._inputs})
        except Exception as error:  # onnxruntime's own exceptions share no class of their own
            raise EngineError(f"onnxruntime failed on a batch of {len(batch)} texts: {error}") from error
        return outputs[0], mask

    def _encode(self, inputs: Sequence[Any]) -> Any:
        return self._tokenizer.encode_batch_fast(inputs)

    def _model_file(self, path: Path) -> Path:
        if path.is_file():
            return path
        for name in MODEL_FILES:
            if (path / name).is_file():
                return path / name
        raise EngineError(
            f"There is no ONNX file in {path}.",
            hint=f"Name the file in the parameter 'weights'; looked for {', '.join(MODEL_FILES)}.",
        )

    def _tokenizer_file(self, model: Path) -> Path:
        if self._parameters.tokenizer:
            path = self._weights.resolve(self._parameters.tokenizer)
            path = path / "tokenizer.json" if path.is_dir() else path
            candidates = [path]
        else:
            candidates = [model.parent / "tokenizer.json", model.parent.parent / "tokenizer.json"]
        for candidate in candidates:
            if candidate.is_file():
                return candidate
        raise EngineError(
            f"There is no tokenizer.json beside {model.name}.",
            hint="Say where it is in the parameter 'tokenizer'.",
        )

    def _load_tokenizer(self, path: Path) -> None:
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises plain Exception
            raise EngineError(f"{path.name} is no tokenizer of the tokenizers library: {error}") from error
        tokenizer.no_padding()
        tokenizer.enable_truncation(self._parameters.max_length)
        self._pad_id = next(
            (found for name in ("[PAD]", "<pad>") if (found := tokenizer.token_to_id(name)) is not None), 0
        )
        self._tokenizer = tokenizer

    def _load_session(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._parameters.threads or cpu_count()
        options.inter_op_num_threads = 1
        # Threads that wait by spinning take half of what they win from the processes beside this one.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no class of their own
            raise EngineError(f"onnxruntime could not load {path.name}: {error}") from error
        names = {tensor.name for tensor in session.get_inputs()}
        if unknown := names - {"input_ids", "attention_mask", "token_type_ids"}:
            raise EngineError(
                f"{path.name} is no text encoder: it wants {', '.join(sorted(unknown))}.",
                hint="Its inputs have to be input_ids, attention_mask and, if need be, token_type_ids.",
            )
        self._inputs = frozenset(names)
        self._output = self._choose_output([output.name for output in session.get_outputs()])
        self._session = session

    def _choose_output(self, names: list[str]) -> str:
        return names[0]
