"""`hf:` through huggingface_hub against a fake hub on loopback.

The fake answers the few calls of the hub's published HTTP API (https://huggingface.co/docs/hub/api) that a download
takes; what the real hub does beyond that (Xet storage, redirects to a CDN) is not shown here.
"""

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest

from modelyard.errors import WeightsError
from modelyard.settings import WeightsSettings
from modelyard.weights.cache import WeightCache

COMMIT = "c0ffee00" * 5
TOKEN = "hf_secret"


@dataclass
class Hub:
    """One repository, ``org/repo``, and what was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    gated: bool = False
    served: list[tuple[str, int]] = field(default_factory=list)
    """File name and first byte of each download."""
    cut_after: int | None = None
    """Bytes after which a connection breaks."""
    wrong_sums: bool = False

    def sha256(self, name):
        return hashlib.sha256(b"" if self.wrong_sums else self.files[name]).hexdigest()

    def is_large(self, name):
        return name.endswith((".safetensors", ".gguf", ".onnx", ".bin"))


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        if self.hub.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer(401, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "gated"})
        elif match := re.fullmatch(r"/api/models/(\w+/\w+)(?:/revision/(.+))?", path):
            self.info(match[1], match[2])
        elif match := re.fullmatch(r"/api/models/org/repo/tree/(.+)", path):
            self.answer(200, json.dumps([self.entry(name) for name in self.hub.files]).encode())
        elif match := re.fullmatch(rf"/org/repo/resolve/{COMMIT}/(.+)", path):
            self.file(match[1])
        else:
            self.answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})

    def info(self, repo, revision):
        if repo != "org/repo":
            return self.answer(401, b"{}", {"X-Error-Code": "RepoNotFound"})
        if revision not in (None, "main", "v1", COMMIT):
            return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        siblings = [
            {"rfilename": name, "size": len(content)}
            | (
                {"lfs": {"size": len(content), "sha256": self.hub.sha256(name), "pointerSize": 130}}
                if self.hub.is_large(name)
                else {}
            )
            for name, content in self.hub.files.items()
        ]
        return self.answer(200, json.dumps({"id": repo, "sha": COMMIT, "siblings": siblings}).encode())

    def entry(self, name):
        content = self.hub.files[name]
        entry = {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
        if self.hub.is_large(name):
            entry["lfs"] = {"oid": self.hub.sha256(name), "size": len(content), "pointerSize": 130}
        return entry

    def file(self, name):
        content = self.hub.files[name]
        headers = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if self.hub.is_large(name):
            headers |= {"X-Linked-Etag": f'"{self.hub.sha256(name)}"', "X-Linked-Size": str(len(content))}
        start, status = 0, 200
        if wanted := self.headers.get("Range"):
            start = int(re.match(r"bytes=(\d+)-", wanted)[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            status = 206
        if self.command == "GET":
            self.hub.served.append((name, start))
        self.answer(status, content[start:], headers)

    def answer(self, status, body, headers=None):
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            if self.hub.cut_after is not None and len(body) > self.hub.cut_after:
                self.wfile.write(body[: self.hub.cut_after])
                self.close_connection = True
            else:
                self.wfile.write(body)


@pytest.fixture
def hub(safetensors):
    hub = Hub(
        {
            "README.md": b"# A model",
            "config.json": b'{"model_type": "tiny"}',
            "tokenizer.json": b'{"version": "1.0"}',
            "model.safetensors": safetensors,
            "pytorch_model.bin": b"\x80\x02pickle",
            "modeling.py": b"raise SystemExit",
        }
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    yield hub
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def hub_cache(hub, tmp_path):
    return WeightCache(tmp_path / "cache", WeightsSettings(min_free_bytes=0, hf_endpoint=hub.url))


def names(hub):
    return sorted({name for name, _ in hub.served})


def test_a_repository_comes_without_pickles_and_code(hub, hub_cache):
    path = hub_cache.resolve("hf:org/repo")
    assert sorted(file.name for file in path.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert names(hub) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert hub_cache.resolve("hf:org/repo") == path
    assert len(hub.served) == 3


@pytest.mark.parametrize("revision", ["", "@main", "@v1", f"@{COMMIT}"])
def test_a_single_file(hub, hub_cache, safetensors, revision):
    seen = []
    path = hub_cache.resolve(f"hf:org/repo{revision}/model.safetensors", on_progress=seen.append)
    assert path.read_bytes() == safetensors
    assert path.name == "model.safetensors"
    assert names(hub) == ["model.safetensors"]
    assert seen[-1].done_bytes == seen[-1].total_bytes == len(safetensors)


def test_a_pattern(hub, hub_cache):
    assert hub_cache.resolve("hf:org/repo/tok*").name == "tokenizer.json"
    directory = hub_cache.resolve("hf:org/repo/*.json")
    assert sorted(file.name for file in directory.iterdir()) == ["config.json", "tokenizer.json"]


def test_without_a_network_what_is_cached_resolves(hub, hub_cache, tmp_path):
    path = hub_cache.resolve("hf:org/repo/model.safetensors")
    away = WeightCache(tmp_path / "cache", WeightsSettings(hf_endpoint="http://127.0.0.1:9"))
    assert away.resolve("hf:org/repo/model.safetensors") == path
    with pytest.raises(WeightsError) as caught:
        away.resolve("hf:org/repo/config.json")
    assert caught.value.code == "weights_unreachable"
    assert "MODELYARD_WEIGHTS__HF_ENDPOINT" in caught.value.hint


def test_a_download_that_was_cut_off_goes_on(hub, hub_cache, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1024 * 1024)
    hub.files["large.txt"] = b"0123456789abcdef" * 1024 * 1024
    hub.cut_after = 10 * 1024 * 1024
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the library waits between its own tries
    hub_cache.resolve("hf:org/repo/large.txt")
    starts = [start for name, start in hub.served if name == "large.txt"]
    assert starts[0] == 0
    assert len(starts) > 1
    assert starts[1] > 0


def test_a_token_opens_a_gated_repository(hub, hub_cache, tmp_path):
    hub.gated = True
    with pytest.raises(WeightsError, match="gated") as caught:
        hub_cache.resolve("hf:org/repo")
    assert "MODELYARD_WEIGHTS__HF_TOKEN" in caught.value.hint
    settings = WeightsSettings(min_free_bytes=0, hf_endpoint=hub.url, hf_token=TOKEN)
    assert WeightCache(tmp_path / "cache", settings).resolve("hf:org/repo").is_dir()


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("hf:org/none", "weights_not_found"),
        ("hf:org/repo@v9", "weights_not_found"),
        ("hf:org/repo/none.gguf", "weights_not_found"),
        ("hf:org/repo/pytorch*", "weights_unsafe_format"),
    ],
)
def test_what_cannot_be_had_is_explained(hub, hub_cache, uri, code):
    with pytest.raises(WeightsError) as caught:
        hub_cache.resolve(uri)
    assert caught.value.code == code
    assert hub.served == []


def test_a_full_disk_is_noticed_before_the_download(hub, tmp_path):
    cache = WeightCache(tmp_path, WeightsSettings(min_free_bytes=10**15, hf_endpoint=hub.url))
    with pytest.raises(WeightsError) as caught:
        cache.resolve("hf:org/repo")
    assert caught.value.code == "disk_full"
    assert hub.served == []


def test_what_came_damaged_does_not_stay(hub, hub_cache, safetensors):
    hub.wrong_sums = True
    with pytest.raises(WeightsError, match="SHA-256"):
        hub_cache.resolve("hf:org/repo/model.safetensors")
    hub.wrong_sums = False
    hub.files["model.safetensors"] = b"no safetensors"
    with pytest.raises(WeightsError, match="truncated or not what"):
        hub_cache.resolve("hf:org/repo/model.safetensors")
    hub.files["model.safetensors"] = safetensors
    assert hub_cache.resolve("hf:org/repo/model.safetensors").read_bytes() == safetensors
