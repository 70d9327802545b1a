"""What happens to GGUF files before llama.cpp reads them."""

from pathlib import Path

import gguf
import numpy as np
import pytest

from modelyard.engines.base import Weights
from modelyard.engines.llama_cpp import LlamaCpp, _reason
from modelyard.engines.parameters import LlamaCppParameters
from modelyard.engines.requantise import requantise
from modelyard.errors import EngineError
from modelyard.testing.tiny_models import tiny_gguf


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_gguf(tmp_path / "tiny.gguf")


def test_requantising_changes_the_layers_and_keeps_what_quality_hangs_on(model: Path, tmp_path: Path) -> None:
    requantise(model, tmp_path / "small.gguf", "Q4_0")
    reader = gguf.GGUFReader(tmp_path / "small.gguf")
    formats = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert {formats[name] for name in formats if "ffn_" in name and "norm" not in name} == {"Q4_0"}
    assert formats["blk.0.attn_norm.weight"] == formats["output_norm.weight"] == "F32"
    assert formats["token_embd.weight"] == formats["output.weight"] == "Q8_0"


def test_requantised_numbers_are_near_the_first_ones(model: Path, tmp_path: Path) -> None:
    requantise(model, tmp_path / "small.gguf", "Q4_0")
    before = {tensor.name: tensor.data for tensor in gguf.GGUFReader(model).tensors}
    for tensor in gguf.GGUFReader(tmp_path / "small.gguf").tensors:
        numbers = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert numbers.shape == before[tensor.name].shape
        if numbers.ndim == 1:
            np.testing.assert_array_equal(numbers, before[tensor.name])
        else:
            assert np.corrcoef(numbers.ravel(), before[tensor.name].ravel())[0, 1] > 0.99


def test_requantising_keeps_every_field(model: Path, tmp_path: Path) -> None:
    requantise(model, tmp_path / "small.gguf", "Q4_0")
    before, after = gguf.GGUFReader(model).fields, gguf.GGUFReader(tmp_path / "small.gguf").fields
    assert set(after) - {"GGUF.tensor_count"} == set(before) - {"GGUF.tensor_count"}
    for name in set(before) - {"general.file_type", "GGUF.kv_count"}:
        assert after[name].contents() == before[name].contents(), name
    assert after["general.file_type"].contents() == gguf.LlamaFileType.MOSTLY_Q4_0


@pytest.mark.parametrize("size", [0, 3, 20, 5000])
def test_a_truncated_file_is_an_engine_error(model: Path, tmp_path: Path, size: int) -> None:
    model.write_bytes(model.read_bytes()[:size])
    with pytest.raises(EngineError, match="not a whole GGUF file"):
        requantise(model, tmp_path / "small.gguf", "Q4_0")


def loaded(weights: Weights, path: Path, **parameters: object) -> LlamaCpp:
    engine = LlamaCpp(LlamaCppParameters(weights=f"file:{path}", **parameters), weights)  # type: ignore[arg-type]
    engine.load()
    return engine


def test_something_else_than_a_gguf_is_refused_by_its_first_bytes(weights: Weights, tmp_path: Path) -> None:
    path = tmp_path / "page.gguf"
    path.write_text("<html>not found</html>")
    with pytest.raises(EngineError, match=r"page\.gguf is not a GGUF file: it begins with b'<htm'"):
        loaded(weights, path)


def test_a_directory_needs_exactly_one_model(weights: Weights, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(EngineError, match="found: none"):
        loaded(weights, folder)
    tiny_gguf(folder / "a.gguf")
    loaded(weights, folder)
    tiny_gguf(folder / "b.gguf")
    with pytest.raises(EngineError, match=r"found: a\.gguf, b\.gguf"):
        loaded(weights, folder)


def test_of_a_model_in_parts_the_first_is_taken(weights: Weights, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for part in (1, 2):
        tiny_gguf(folder / f"model-0000{part}-of-00002.gguf")
    assert loaded(weights, folder)._model.name == "model-00001-of-00002.gguf"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (
            [
                "0.00.032.412 E common_fit_params: encountered an error while trying to fit params",
                "0.00.048.119 E llama_model_load: error loading model: tensor 'x' data is not within the file bounds",
                "0.00.048.148 E llama_model_load_from_file_impl: failed to load model",
                "0.00.048.708 E srv          init: exiting due to model loading error",
            ],
            "tensor 'x' data is not within the file bounds",
        ),
        (
            [
                "0.01.251.942 E common_chat_templates_init: error: parser: Parser Error: Unexpected EOF",
                "...{{ messages[...",
                "              ^",
                "0.00.474.472 E common_chat_templates_init: failed to initialize chat template",
                "0.00.474.473 E common_chat_templates_init: please consider disabling jinja via --no-jinja",
            ],
            "its chat template is wrong: parser: Parser Error: Unexpected EOF",
        ),
        (["0.00.7 E srv         start: couldn't bind HTTP server socket, port: 1"], "couldn't bind HTTP server socket"),
        (["0.00.1 I srv init: listening"], None),
    ],
)
def test_llama_cpps_log_says_why_it_failed(lines: list[str], reason: str | None) -> None:
    found = _reason(lines)
    assert found is None if reason is None else reason in (found or "")
