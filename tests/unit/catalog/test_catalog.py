from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest

from modelyard.catalog import load
from modelyard.catalog.loader import read
from modelyard.domain.models import SELF_HOSTED_VENDORS
from modelyard.domain.parameters import check_schema
from modelyard.domain.templates import EndpointProtocol, EndpointType, ModelType
from modelyard.domain.weight_uris import parse
from modelyard.errors import ConfigurationError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_templates_that_users_were_promised():
    assert {entry.name: (entry.card.engine, entry.model_type) for entry in load().templates} == {
        "llama-cpp-chat": ("llama-cpp", ModelType.CHAT_COMPLETION),
        "llama-cpp-completion": ("llama-cpp", ModelType.COMPLETION),
        "onnx-embedding": ("onnx-embedding", ModelType.EMBEDDING),
        "bi-encoder-reranker": ("bi-encoder", ModelType.RERANKING),
        "cross-encoder-reranker": ("cross-encoder", ModelType.RERANKING),
        "transformers": ("transformers", ModelType.CHAT_COMPLETION),
        "vllm": ("vllm", ModelType.CHAT_COMPLETION),
    }


def test_the_starters_that_users_were_promised():
    assert {starter.name: starter.template.model_type for starter in load().starters} == {
        "smollm2-135m-instruct": ModelType.CHAT_COMPLETION,
        "all-minilm-l6-v2": ModelType.EMBEDDING,
        "minilm-bi-encoder": ModelType.RERANKING,
    }


@pytest.mark.parametrize("entry", load().templates, ids=lambda entry: entry.name)
def test_a_template_is_made_from_its_card(entry):
    template = entry.template("id", NOW)
    card = entry.card
    assert check_schema(template.creation_schema) == []
    assert {p.name: (p.type, p.required) for p in template.creation_schema.parameters} == {
        p.name: (p.type, p.required) for p in card.parameters
    }
    assert template.bundle.registry == "modelyard"
    assert template.bundle.image == card.engine
    assert template.bundle.healthcheck_route == card.healthcheck_route
    assert template.endpoint_protocol is card.protocol
    if card.protocol is EndpointProtocol.VLLM:
        assert template.bundle.healthcheck_route == "/health"
    generates = template.model_type in (ModelType.CHAT_COMPLETION, ModelType.COMPLETION)
    assert template.endpoint_type is (EndpointType.STREAMING if generates else EndpointType.SYNC)


@pytest.mark.parametrize("starter", load().starters, ids=lambda starter: starter.name)
def test_a_starter_tells_what_it_is(starter):
    model = starter.model("id", "template-id", NOW)
    assert model.is_built_in
    assert model.model_vendor in SELF_HOSTED_VENDORS
    assert model.context_window
    assert starter.licence in model.model_card
    assert set(model.base_model_metadata) == {
        "model_developer",
        "model_license_url",
        "delivery_date",
        "modelDetails",
        "ui_model_section_type",
    }
    assert starter.weight_uris
    assert all(parse(uri).sha256 for uri in starter.weight_uris)


def test_a_starter_that_is_no_cross_encoder_does_not_claim_to_be_one():
    (starter,) = (starter for starter in load().starters if starter.template.model_type is ModelType.RERANKING)
    assert "bi-encoder" in starter.name
    assert "not a cross-encoder" in starter.description


@pytest.fixture
def data(tmp_path):
    """A copy of the shipped data that a test may damage."""
    for folder in (files("modelyard.catalog") / "data").iterdir():
        (tmp_path / folder.name).mkdir()
        for file in folder.iterdir():
            (tmp_path / folder.name / file.name).write_text(file.read_text())
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_copy_reads_the_same(data):
    assert read(data) == load()


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("engines/llama-cpp.yaml", "title:", "titel:", "titel"),
        ("engines/llama-cpp.yaml", "default: 2048", "default: '2048'", "defaults.context_length: must be of type int"),
        ("engines/llama-cpp.yaml", "default: 2048", "default: 0", "defaults.context_length: must be at least 1"),
        ("engines/llama-cpp.yaml", "name: slots", "name: context_length", "declared twice"),
        ("engines/llama-cpp.yaml", "name: slots", "name: path", "reserved"),
        ("engines/llama-cpp.yaml", "required: true", "required: true\n    default: hf:a/b/c.gguf", "has a default"),
        ("engines/llama-cpp.yaml", "protocol: VLLM", "protocol: VLLM\nprotocol: SGP", "given twice"),
        ("engines/llama-cpp.yaml", "engine: llama-cpp", "engine: llama", "names itself 'llama'"),
        ("engines/llama-cpp.yaml", "engine: llama-cpp", "engine: [", "line"),
        ("templates/vllm.yaml", "engine: vllm", "engine: sglang", "there is no 'sglang'"),
        ("templates/vllm.yaml", "CHAT_COMPLETION", "EMBEDDING", "the engine serves CHAT_COMPLETION, COMPLETION"),
        ("templates/vllm.yaml", "per_worker: 64", "per_worker: 0", "per_worker"),
        ("templates/vllm.yaml", "per_worker: 64", "per_worker: 64, cpu: 1", "cpu"),
        ("templates/vllm.yaml", "name: seed", "name: my-seed", "variable name"),
        ("starters/all-minilm-l6-v2.yaml", "template: onnx", "template: unknown", "unknown-embedding"),
        ("starters/all-minilm-l6-v2.yaml", "pooling: mean", "pooling: max", "parameters.pooling: must be one of"),
        ("starters/all-minilm-l6-v2.yaml", "pooling: mean", "poling: mean", "parameters.poling: unknown parameter"),
        ("starters/all-minilm-l6-v2.yaml", "model.onnx", "model.gguf", "must name a .onnx file or a directory"),
        ("starters/all-minilm-l6-v2.yaml", "#sha256=81", "#sha256=8", "64 hexadecimal digits"),
        ("starters/all-minilm-l6-v2.yaml", "window: 256", "window: 512", "claims a window of 512, serves 256"),
        ("starters/smollm2-135m-instruct.yaml", "per_worker: 4", "per_worker: 8", "8 for 4 slots"),
        ("starters/smollm2-135m-instruct.yaml", "https://www.apache", "www.apache", "model_license_url"),
    ],
)
def test_a_mistake_is_named_with_its_file(data, file, old, new, says):
    change(data / file, old, new)
    with pytest.raises(ConfigurationError) as caught:
        read(data)
    assert file in str(caught.value)
    assert says in str(caught.value)
