"""Images for tests, made of what is here: no registry is asked, nothing is downloaded.

The base is the Python that runs the tests: its binary, its standard library, and the shared libraries both need.
"""

import io
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from modelyard.testing.workers import SCRIPT

PYTHON = "/usr/local/bin/python3"
WORKER = "/worker/sgp_worker.py"
PACKAGES = "/packages"
_OF_A_WORKER = (
    *("filelock", "fsspec", "gguf", "httptools", "msgspec", "numpy", "orjson", "platformdirs", "pydantic"),
    *("pydantic-settings", "pyyaml", "starlette", "structlog", "uvicorn", "uvloop"),
)
_LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "ensurepip", "__pycache__"}


def python_base() -> bytes:
    """A file system with Python and the test worker."""
    with _Layer() as layer:
        _add_python(layer)
    return layer.bytes()


def worker_base() -> bytes:
    """The same with modelyard and what a worker needs for the fake engine, on the path `PACKAGES`."""
    with _Layer() as layer:
        _add_python(layer)
        _add_packages(layer)
    return layer.bytes()


def _add_python(layer: "_Layer") -> None:
    binary = Path(os.path.realpath(sys.executable))
    libraries = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")}
    files = {path for library in libraries for path in _files(library)} | {binary}
    files |= _shared_libraries(path for path in files if path == binary or path.suffix == ".so")
    layer.add(files)
    layer.link(PYTHON, str(binary))
    layer.write(WORKER, SCRIPT.read_bytes())
    for name in ("tmp", "run", "var/lib", "proc", "sys", "dev", "etc"):
        layer.directory(name)
    layer.write("/etc/passwd", b"root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")


def _add_packages(layer: "_Layer") -> None:
    files: set[Path] = set()
    for each in [*_closure(_OF_A_WORKER), metadata.distribution("modelyard")]:
        for file in each.files or ():
            path = Path(str(each.locate_file(file)))
            if path.is_file() and ".." not in file.parts and "__pycache__" not in file.parts:
                layer.add_as(path, f"{PACKAGES}/{file}")
                files.add(path)
    layer.add(_shared_libraries(path for path in files if ".so" in path.suffixes) - files)
    source = Path(__file__).parents[2] / "src"
    for path in _files(source):
        layer.add_as(path, f"{PACKAGES}/{path.relative_to(source)}")


def _files(directory: Path) -> Iterator[Path]:
    for root, names, files in os.walk(directory):
        names[:] = [name for name in names if name not in _LEFT_OUT and not name.startswith("config-")]
        yield from (Path(root) / file for file in files)


def _shared_libraries(binaries: Iterable[Path]) -> set[Path]:
    """What the dynamic loader would load for them, itself included."""
    paths = [str(path) for path in binaries]
    said = subprocess.run(["ldd", *paths], capture_output=True, text=True, check=False).stdout
    return {Path(os.path.normpath(found)) for found in re.findall(r"(/[^\s:]+) \(0x", said)}


def _closure(names: Iterable[str]) -> list[metadata.Distribution]:
    found: dict[str, metadata.Distribution] = {}
    todo = list(names)
    while todo:
        name = re.split(r"[\s<>=!~;\[(]", todo.pop(), maxsplit=1)[0].lower().replace("_", "-")
        if name in found:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for another platform
        todo += [line for line in found[name].requires or [] if "extra ==" not in line]
    return list(found.values())


class _Layer:
    """A tar archive in the making; links are followed, so that nothing points outside."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self._buffer, mode="w", dereference=True)
        self._there: set[str] = set()

    def __enter__(self) -> "_Layer":
        return self

    def __exit__(self, *_: object) -> None:
        self._tar.close()

    def bytes(self) -> bytes:
        return self._buffer.getvalue()

    def add(self, paths: Iterable[Path]) -> None:
        for path in sorted(paths):
            self.add_as(path, str(path))

    def add_as(self, path: Path, name: str) -> None:
        if name not in self._there:
            self._there.add(name)
            self._tar.add(path, arcname=name.lstrip("/"), recursive=False)

    def directory(self, name: str) -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
        self._tar.addfile(entry)

    def link(self, name: str, target: str) -> None:
        entry = tarfile.TarInfo(name.lstrip("/"))
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        self._tar.addfile(entry)

    def write(self, name: str, content: bytes) -> None:
        entry = tarfile.TarInfo(name.lstrip("/"))
        entry.size, entry.mode = len(content), 0o644
        self._tar.addfile(entry, io.BytesIO(content))
