"""Small files in the formats that weights come in, made by the formats' own libraries."""

import json
import struct
from pathlib import Path

import numpy as np
import onnx
import pytest
from gguf import GGUFWriter
from onnx import TensorProto, helper


def write_gguf(path: Path) -> Path:
    writer = GGUFWriter(path, "llama")
    writer.add_string("general.name", "tiny")
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "longer"])
    writer.add_array("tokenizer.ggml.scores", [0.5, 1.5, 2.5])
    writer.add_bool("tokenizer.ggml.add_bos_token", True)
    writer.add_tensor("first", np.arange(64, dtype=np.float32).reshape(8, 8))
    writer.add_tensor("second", np.ones((4, 32), dtype=np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_safetensors(path: Path) -> Path:
    header = json.dumps(
        {
            "__metadata__": {"format": "pt"},
            "weight": {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]},
            "bias": {"dtype": "F32", "shape": [4], "data_offsets": [32, 48]},
        }
    ).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(48))
    return path


def write_onnx(path: Path) -> Path:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in ("x", "y")]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [1, 4], [1.0, 2.0, 3.0, 4.0])
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "tiny", values[:1], values[1:], [weight])
    onnx.save(helper.make_model(graph), path)
    return path


def write_json(path: Path) -> Path:
    path.write_text(json.dumps({"version": "1.0", "model": {"vocab": {"a": 0}}}))
    return path


WRITERS = {".gguf": write_gguf, ".safetensors": write_safetensors, ".onnx": write_onnx, ".json": write_json}


@pytest.fixture
def make_weights():
    """Writes a small whole file in the format that its name has."""

    def make(path: Path) -> Path:
        return WRITERS[path.suffix](path)

    return make
