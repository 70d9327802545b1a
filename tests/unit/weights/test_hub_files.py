import pytest

from modelyard.domain.weight_uris import parse
from modelyard.errors import WeightsError
from modelyard.weights.hub_files import select

LLM = [
    ".gitattributes",
    "README.md",
    "config.json",
    "consolidated.safetensors",
    "generation_config.json",
    "merges.txt",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
    "model.safetensors.index.json",
    "modeling_custom.py",
    "original/consolidated.00.pth",
    "pytorch_model.bin",
    "tokenizer.json",
    "tokenizer.model",
]
ENCODER = [
    "1_Pooling/config.json",
    "config.json",
    "model.safetensors",
    "modules.json",
    "onnx/model.onnx",
    "onnx/model.onnx_data",
    "onnx/model_int8.onnx",
    "onnx/config.json",
    "openvino/openvino_model.bin",
    "openvino/openvino_model.xml",
    "pytorch_model.bin",
    "tokenizer.json",
    "vocab.txt",
]
GGUF = [
    "README.md",
    "m-Q4_0.gguf",
    "m-Q4_K_M.gguf",
    "m-Q8_0-00001-of-00002.gguf",
    "m-Q8_0-00002-of-00002.gguf",
    "broken-00001-of-00003.gguf",
]


def chosen(uri, names):
    return select(parse(uri).source, names)


def test_a_repository_means_its_safetensors_and_what_belongs_to_them():
    selection = chosen("hf:org/repo", LLM)
    assert selection.path == ""
    assert set(selection.files) == {
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "config.json",
        "generation_config.json",
        "merges.txt",
        "tokenizer.json",
        "tokenizer.model",
    }
    assert set(chosen("hf:org/repo", ENCODER).files) == {
        "1_Pooling/config.json",
        "config.json",
        "model.safetensors",
        "modules.json",
        "tokenizer.json",
        "vocab.txt",
    }


@pytest.mark.parametrize(
    ("uri", "names", "path", "files"),
    [
        ("hf:o/r/m-Q4_0.gguf", GGUF, "m-Q4_0.gguf", ["m-Q4_0.gguf"]),
        ("hf:o/r/*Q4_0*", GGUF, "m-Q4_0.gguf", ["m-Q4_0.gguf"]),
        ("hf:o/r/*Q8_0*", GGUF, "m-Q8_0-00001-of-00002.gguf", GGUF[3:5]),
        ("hf:o/r/m-Q8_0-00001-of-00002.gguf", GGUF, "m-Q8_0-00001-of-00002.gguf", GGUF[3:5]),
        ("hf:o/r/onnx/model.onnx", ENCODER, "onnx/model.onnx", ["onnx/model.onnx", "onnx/model.onnx_data"]),
        ("hf:o/r/onnx/model_int8.onnx", ENCODER, "onnx/model_int8.onnx", ["onnx/model_int8.onnx"]),
        ("hf:o/r/onnx/*", ENCODER, "onnx", ENCODER[4:8]),
        ("hf:o/r/onnx/", ENCODER, "onnx", ENCODER[4:8]),
        ("hf:o/r/onnx", ENCODER, "onnx", ENCODER[4:8]),
        ("hf:o/r/tok*.json", ENCODER, "tokenizer.json", ["tokenizer.json"]),
        ("hf:o/r/*.json", LLM, "", [name for name in LLM if name.endswith(".json")]),
    ],
)
def test_paths_and_patterns(uri, names, path, files):
    selection = chosen(uri, names)
    assert selection.path == path
    assert sorted(selection.files) == sorted(files)


@pytest.mark.parametrize("uri", ["hf:o/r", "hf:o/r/*", "hf:o/r/onnx/", "hf:o/r/*model*"])
def test_neither_pickles_nor_code_are_ever_asked_for(uri):
    files = chosen(uri, sorted({*LLM, *ENCODER})).files
    assert files
    assert not [name for name in files if name.endswith((".bin", ".pth", ".py"))]


@pytest.mark.parametrize(
    ("uri", "names", "code", "says"),
    [
        ("hf:o/r/*.gguf", GGUF, "weights_not_found", "m-Q4_K_M.gguf"),
        ("hf:o/r/m-Q5_0.gguf", GGUF, "weights_not_found", "It holds: .*m-Q4_0.gguf"),
        ("hf:o/r/broken*", GGUF, "weights_not_found", "broken-00002-of-00003.gguf"),
        ("hf:o/r", GGUF, "weights_not_found", "Name one: .*m-Q4_0.gguf"),
        ("hf:o/r", ["config.json", "pytorch_model.bin"], "weights_unsafe_format", "safetensors, gguf or onnx"),
        ("hf:o/r", ["README.md"], "weights_not_found", "safetensors, gguf or onnx"),
        ("hf:o/r/pytorch*", ENCODER, "weights_unsafe_format", "safetensors, gguf or onnx"),
    ],
)
def test_what_cannot_be_chosen_is_explained(uri, names, code, says):
    with pytest.raises(WeightsError, match=says) as caught:
        chosen(uri, names)
    assert caught.value.code == code
