"""``s3:``, ``gs:``, ``az:`` - object storage through fsspec, which finds credentials as each vendor's own tools do.

A download that was cut off goes on where it stopped, as long as the object is still the same.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from modelyard.domain.weight_uris import BucketKey, is_unsafe
from modelyard.errors import WeightsError
from modelyard.weights.disk import ensure_room
from modelyard.weights.progress import FetchPhase, Report

_BLOCK_BYTES = 16 * 1024 * 1024
_IDENTITY = (
    "ETag",
    "etag",
    "generation",
    "md5Hash",
    "content_md5",
    "LastModified",
    "last_modified",
    "updated",
    "mtime",
)


@dataclass(frozen=True, slots=True)
class _Object:
    path: str
    name: str
    size: int
    identity: str


def fetch(source: BucketKey, into: Path, min_free: int, report: Report) -> Path:
    """Put the object (for a key that ends in ``/`` all safe ones below it) into ``into/files``; returns its path."""
    filesystem = _filesystem(source.scheme)
    with _explained(source):
        objects = _objects(filesystem, source)
        total = sum(each.size for each in objects)
        files = into / "files"
        there = sum(part.stat().st_size for part in files.rglob("*") if part.is_file())
        files.mkdir(exist_ok=True)
        ensure_room(into, max(0, total - there), min_free)
        before = 0
        for each in objects:
            _fetch_object(filesystem, each, into, before, total, report)
            before += each.size
    return files if source.is_directory else files / objects[0].name


def _filesystem(scheme: str) -> Any:
    try:
        return fsspec.filesystem(scheme, use_listings_cache=False, skip_instance_cache=True)
    except ImportError as error:
        raise WeightsError(
            f"Reading {scheme}: weights takes a library that is not installed.",
            code="missing_extra",
            hint=f"Run: pip install 'modelyard[{scheme}]'",
        ) from error


@contextmanager
def _explained(source: BucketKey) -> Iterator[None]:
    """The storage libraries' errors in a user's words."""
    try:
        yield
    except WeightsError:
        raise
    except FileNotFoundError as error:
        raise _missing(source) from error
    except PermissionError as error:
        raise WeightsError(
            f"{source} may not be read: {error}.",
            code="weights_unreachable",
            hint=f"Look at the {source.scheme} credentials in the environment of modelyard and its workers.",
        ) from error
    except Exception as error:  # each vendor's library has an error tree of its own, without a common root
        raise WeightsError(
            f"{source} cannot be read: {str(error) or type(error).__name__}.",
            code="weights_unreachable",
            hint="Look at the network, the endpoint and the credentials; a download goes on where it stopped.",
        ) from error


def _objects(filesystem: Any, source: BucketKey) -> list[_Object]:
    address = f"{source.bucket}/{source.key}"
    if not source.is_directory:
        return [_described(filesystem.info(address), source.key.rpartition("/")[2])]
    found = filesystem.find(address, detail=True).values()
    objects = [_described(info, info["name"].removeprefix(address)) for info in found]
    objects = [each for each in objects if each.name and not is_unsafe(each.name)]
    if not objects:
        raise _missing(source)
    if any(".." in each.name.split("/") or each.name.startswith("/") for each in objects):
        raise WeightsError(f"{source} holds names that lead out of it.", code="weights_invalid")
    return sorted(objects, key=lambda each: each.name)


def _missing(source: BucketKey) -> WeightsError:
    return WeightsError(
        f"There is nothing that can be read at {source}.",
        code="weights_not_found",
        hint="Look at the bucket, the key and the credentials.",
    )


def _described(info: dict[str, Any], name: str) -> _Object:
    if info.get("type") != "file" or info.get("size") is None:
        raise WeightsError(
            f"{info['name']} is no single object.",
            code="weights_not_found",
            hint="End the URI with / for all below it.",
        )
    identity = json.dumps({key: str(info[key]) for key in _IDENTITY if key in info} | {"size": info["size"]})
    return _Object(info["name"], name, int(info["size"]), identity)


def _fetch_object(filesystem: Any, each: _Object, into: Path, before: int, total: int, report: Report) -> None:
    """Bring one object to ``into/files``; of which version the bytes there are is noted outside of it."""
    target, note = into / "files" / each.name, into / f"{each.name.replace('/', '%2F')}.identity"
    target.parent.mkdir(parents=True, exist_ok=True)
    if not (target.exists() and note.exists() and note.read_text() == each.identity):
        target.unlink(missing_ok=True)
        note.write_text(each.identity)
    with target.open("ab") as out, filesystem.open(each.path, "rb", block_size=_BLOCK_BYTES) as remote:
        done = out.tell()
        report(FetchPhase.DOWNLOADING, before + done, total)
        if done > each.size:
            out.truncate(0)
            done = 0
        remote.seek(done)
        while done < each.size and (block := remote.read(min(_BLOCK_BYTES, each.size - done))):
            out.write(block)
            done += len(block)
            report(FetchPhase.DOWNLOADING, before + done, total)
    if done != each.size:
        raise WeightsError(
            f"{each.path} ended after {done:,} of {each.size:,} bytes.",
            code="weights_unreachable",
            hint="Try again; the download goes on where it stopped.",
        )
