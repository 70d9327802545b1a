"""Engines by the names that ``bundle_config.image`` and ``MODELYARD_ENGINE`` use."""

from collections.abc import Mapping
from importlib import import_module

from modelyard.domain.templates import ModelType
from modelyard.engines import base
from modelyard.engines.base import Engine, Weights
from modelyard.engines.parameters import read
from modelyard.errors import EngineError

_ENGINES = {
    "llama-cpp": "llama_cpp:LlamaCpp",
    "onnx-embedding": "onnx_embedding:OnnxEmbedding",
    "bi-encoder": "bi_encoder:BiEncoder",
    "cross-encoder": "cross_encoder:CrossEncoder",
    "transformers": "transformers:Transformers",
    "vllm": "vllm:Vllm",
    "fake": "fake:Fake",
}

NAMES = tuple(_ENGINES)

_CAPABILITIES: dict[ModelType, tuple[type, ...]] = {
    ModelType.EMBEDDING: (base.Embeds,),
    ModelType.RERANKING: (base.Reranks, base.Compares),
    ModelType.COMPLETION: (base.Generates, base.ServerEngine),
    ModelType.CHAT_COMPLETION: (base.Generates, base.ServerEngine),
    ModelType.GENERIC: (base.Executes,),
    ModelType.AGENT: (base.Executes,),
    ModelType.BUNDLE: (base.Executes,),
}


def make(name: str, model_type: ModelType, environ: Mapping[str, str], weights: Weights) -> Engine:
    """The engine called ``name``, its parameters read and nothing loaded yet."""
    if name not in _ENGINES:
        raise EngineError(f"There is no engine '{name}'.", hint=f"Engines are: {', '.join(NAMES)}.")
    module, _, cls_name = _ENGINES[name].partition(":")
    cls = getattr(import_module(f"modelyard.engines.{module}"), cls_name)
    engine: Engine = cls(read(cls.parameters_type, environ), weights)
    if not isinstance(engine, _CAPABILITIES[model_type]):
        raise EngineError(f"The engine '{name}' cannot serve models of type {model_type}.")
    return engine
