"""Engines' creation parameters: one frozen struct per engine, read from environment variables of the same names.

The defaults here are the worker's own; ``tests/unit/engines`` compares them with the catalog's cards.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from modelyard.errors import EngineError

Required = Annotated[str, Meta(min_length=1)]
Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]


class LlamaCppParameters(Struct, frozen=True):
    weights: Required
    """A GGUF file, or a directory with one."""
    context_length: Positive = 2048
    """Tokens that one request's prompt and answer may hold together."""
    slots: Positive = 4
    """Requests generated at the same time."""
    threads: NotNegative = 0
    """CPU threads; 0 takes all there are."""
    quantization: Literal["", "Q4_0"] = ""
    """Requantise the weights to this format once, when they are fetched."""
    chat_template: str = ""
    """A Jinja template, or the name of one of llama.cpp's own, instead of the model's."""
    gpu_layers: Annotated[int, Meta(ge=-1)] = -1
    """Layers to put on a GPU; -1 lets llama.cpp decide."""


class EncoderParameters(Struct, frozen=True):
    """What the engines on onnxruntime have in common."""

    weights: Required
    """An ONNX file, or a directory with ``model.onnx`` or ``onnx/model.onnx``."""
    tokenizer: str = ""
    """A ``tokenizer.json``; not given: the one beside the weights."""
    max_length: Positive = 512
    """Tokens of a text beyond which it is cut."""
    threads: NotNegative = 0
    batch_size: Positive = 8
    """Texts that are computed together."""


class EmbeddingParameters(EncoderParameters, frozen=True):
    pooling: Literal["mean", "cls", "last"] = "mean"
    normalize: bool = True
    """Whether vectors have length 1."""
    query_prefix: str = ""
    """Put before every text; for a reranker, before the query."""


class BiEncoderParameters(EmbeddingParameters, frozen=True):
    pass


class CrossEncoderParameters(EncoderParameters, frozen=True):
    activation: Literal["sigmoid", "none"] = "sigmoid"


class TransformersParameters(Struct, frozen=True):
    weights: Required
    """A directory in the Hugging Face layout with safetensors."""
    context_length: NotNegative = 0
    """Tokens of prompt and answer together; 0: the model's own limit."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    device: str = "auto"
    chat_template: str = ""


class VllmParameters(Struct, frozen=True):
    weights: Required
    context_length: NotNegative = 0
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    tensor_parallel: Positive = 1
    gpu_memory_utilization: Annotated[float, Meta(gt=0, le=1)] = 0.9
    chat_template: str = ""


class FakeParameters(Struct, frozen=True):
    fake_delay_seconds: Annotated[float, Meta(ge=0)] = 0.0
    """Pause before each answer, and between the pieces of a stream."""
    fake_load_seconds: Annotated[float, Meta(ge=0)] = 0.0
    fake_fail: Literal["", "load", "request"] = ""
    fake_tokens: Positive = 8
    """Tokens of each generated text."""
    fake_dimensions: Positive = 8


P = TypeVar("P", bound=Struct)


def read(kind: type[P], environ: Mapping[str, str]) -> P:
    """The parameters of ``kind`` in ``environ``; an empty variable counts as absent. Raises `EngineError`
    naming the parameter."""
    given = {name: environ[name] for name in kind.__struct_fields__ if environ.get(name)}
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$.")
        name = path.rstrip("`") or text.partition("field `")[2].rstrip("`")
        raise EngineError(f"parameter '{name}': {text[0].lower()}{text[1:]}.", code="invalid_parameter") from error
