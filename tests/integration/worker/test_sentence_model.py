"""The example of a user's own model: its server speaks the protocol, and the template says how to run it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from modelyard.domain.parameters import LAUNCHER_VARIABLES, expand, references
from modelyard.engines.onnx_embedding import OnnxEmbedding
from modelyard.engines.parameters import EmbeddingParameters
from modelyard.testing.tiny_models import tiny_embedding

EXAMPLE = Path(__file__).parents[3] / "examples" / "sentence_model"
TEMPLATE = json.loads((EXAMPLE / "template.json").read_text())
BUNDLE = TEMPLATE["vendor_configuration"]["bundle_config"]


class Here:
    def resolve(self, uri: str) -> Path:
        return Path(uri)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_embedding(tmp_path / "model")


@pytest.fixture
def url(model: Path, unused_port: int) -> Iterator[str]:
    values = {
        "server_path": str(EXAMPLE / "server.py"),
        "model_path": str(model / "model.onnx"),
        "tokenizer_path": str(model / "tokenizer.json"),
        "python": sys.executable,
    }
    command = [expand(part, values) for part in BUNDLE["command"]]
    process = subprocess.Popen(
        command, env={**os.environ, **values, "PORT": str(unused_port)}, stderr=subprocess.DEVNULL
    )
    try:
        yield f"http://127.0.0.1:{unused_port}"
    finally:
        process.kill()
        process.wait()


def test_the_template_declares_all_it_refers_to() -> None:
    declared = {parameter["name"] for parameter in TEMPLATE["model_creation_parameters_schema"]["parameters"]}
    used = {name for text in [*BUNDLE["command"], *BUNDLE["env"].values()] for name in references(text)}
    assert used <= declared | LAUNCHER_VARIABLES


def test_it_embeds_as_the_built_in_engine_does(url: str, model: Path, http: httpx.Client) -> None:
    wait_until_healthy(http, url + BUNDLE["healthcheck_route"])
    texts = ["red cat", "green blue dog bird", "one"]
    answer = http.post(url + BUNDLE["predict_route"], json={"texts": texts}).json()
    engine = OnnxEmbedding(EmbeddingParameters(weights=str(model)), Here())  # type: ignore[arg-type]
    engine.load()
    tokens = engine.tokenize(texts)
    assert [text for text, _ in answer["embeddings"]] == texts
    assert answer["tokens_used"] == sum(len(text.ids) for text in tokens)
    np.testing.assert_allclose([vector for _, vector in answer["embeddings"]], engine.embed(tokens), rtol=1e-4)


def wait_until_healthy(http: httpx.Client, url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if http.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, "it never answered its health route"
        time.sleep(0.05)
