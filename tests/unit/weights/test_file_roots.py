"""Files are read only from where the server allows it."""

import json
from pathlib import Path

import pytest

from modelyard.control.reconciling.step import worker_environment
from modelyard.errors import WeightsError
from modelyard.settings import Settings, WeightsSettings
from modelyard.weights.cache import WeightCache
from modelyard.worker.config import read


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    directory = tmp_path / "allowed"
    directory.mkdir()
    return directory


def weights(path: Path) -> Path:
    path.write_bytes((0).to_bytes(8, "little"))
    return path


def resolve(tmp_path: Path, path: Path, *roots: Path) -> Path:
    return WeightCache(tmp_path / "cache", WeightsSettings(file_roots=roots)).resolve(f"file:{path}")


@pytest.mark.parametrize("name", ["other.gguf", "allowed-too/x.gguf", "none.gguf"])
def test_what_lies_elsewhere_is_refused_whether_it_is_there_or_not(tmp_path: Path, allowed: Path, name: str) -> None:
    weights(tmp_path / "other.gguf")
    with pytest.raises(WeightsError) as caught:
        resolve(tmp_path, tmp_path / name, allowed)
    assert caught.value.code == "weights_not_allowed"
    assert "MODELYARD_WEIGHTS__FILE_ROOTS" in str(caught.value)


def test_a_link_that_leads_out_is_no_way_out(tmp_path: Path, allowed: Path) -> None:
    (allowed / "link.gguf").symlink_to(weights(tmp_path / "other.gguf"))
    with pytest.raises(WeightsError) as caught:
        resolve(tmp_path, allowed / "link.gguf", allowed)
    assert caught.value.code == "weights_not_allowed"


def test_nowhere_is_nowhere(tmp_path: Path, allowed: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        resolve(tmp_path, weights(allowed / "x.gguf"))
    assert caught.value.code == "weights_not_allowed"


def test_a_server_for_others_allows_nothing_unless_it_is_told_to(tmp_path: Path) -> None:
    here = Settings(data_dir=tmp_path, host="127.0.0.1")
    everywhere = Settings(data_dir=tmp_path, host="0.0.0.0")
    told = Settings(data_dir=tmp_path, host="0.0.0.0", weights=WeightsSettings(file_roots=(tmp_path,)))
    assert "MODELYARD_WEIGHTS__FILE_ROOTS" not in worker_environment(here)
    assert json.loads(worker_environment(everywhere)["MODELYARD_WEIGHTS__FILE_ROOTS"]) == []
    assert json.loads(worker_environment(told)["MODELYARD_WEIGHTS__FILE_ROOTS"]) == [str(tmp_path)]


def test_a_worker_reads_what_its_server_wrote(tmp_path: Path) -> None:
    environ = {
        "MODELYARD_ENGINE": "fake",
        "MODELYARD_MODEL_TYPE": "EMBEDDING",
        "PORT": "1",
        **worker_environment(Settings(data_dir=tmp_path, host="0.0.0.0")),
    }
    assert read(environ).weights.file_roots == ()
