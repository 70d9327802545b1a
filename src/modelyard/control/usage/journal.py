"""Usage records on disk until they are in the database: whoever kills the server loses none of an answered call.

One line is appended before the last byte of an answer goes out, by one ``write`` to a file opened with O_APPEND and
without ``fsync``: it survives the end of the process, not that of the machine. Two files take turns: while the
records of one are being written to the database, the other takes new ones. The lock on a file tells whether its
server lives; what a dead one left is read at the next start, and a record that is in the database already counts once.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import msgspec
import structlog

from modelyard.domain.usage import UsageRecord

log = structlog.get_logger(__name__)

_SUFFIX = ".jsonl"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(UsageRecord).decode


class Journal:
    """Of one process. Where the disk cannot take a line the call goes on, and the log says so once."""

    def __init__(self, directory: Path, bound: int) -> None:
        """``bound``: so many records are kept in a file, while the database is away."""
        directory.mkdir(parents=True, exist_ok=True)
        opened = [_opened(directory) for _ in range(2)]
        self._paths, self._files = [path for path, _ in opened], [file for _, file in opened]
        self._lines = [0, 0]
        self._turn = 0
        self._bound = bound
        self._failing = False
        self.missed = 0
        """Records that were not written: the file is full, or the disk does not take them."""

    def append(self, record: UsageRecord) -> None:
        """Never raises."""
        if self._lines[self._turn] >= self._bound:
            self.missed += 1
            return
        try:
            _write_line(self._files[self._turn], _encode(record) + b"\n")
        except (OSError, UnicodeError, msgspec.MsgspecError) as error:
            if not self._failing:
                log.error("usage.not_journaled", why=str(error))
            self._failing = True
            self.missed += 1
        else:
            self._lines[self._turn] += 1
            self._failing = False

    def turn(self) -> None:
        """What comes from now on goes to the other file, unless that waits for the database still."""
        if self._lines[1 - self._turn] == 0:
            self._turn = 1 - self._turn

    def written(self) -> None:
        """Everything that was appended before the last `turn` is in the database."""
        other = 1 - self._turn
        if self._lines[other]:
            os.ftruncate(self._files[other], 0)
            self._lines[other] = 0

    def close(self) -> None:
        """Files with nothing in them go; others are for the next start to read."""
        for path, file, lines in zip(self._paths, self._files, self._lines, strict=True):
            if not lines:
                path.unlink(missing_ok=True)
            os.close(file)


@contextlib.contextmanager
def left_behind(directory: Path) -> Iterator[list[UsageRecord]]:
    """The records that dead servers left. Their files go when the block ends well."""
    with contextlib.ExitStack() as stack:
        records: list[UsageRecord] = []
        paths = []
        for path in sorted(directory.glob(f"*{_SUFFIX}")):
            file = os.open(path, os.O_RDONLY)
            stack.callback(os.close, file)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its server lives
            paths.append(path)
            records += _read(path)
        yield records
        for path in paths:
            path.unlink(missing_ok=True)


def _opened(directory: Path) -> tuple[Path, int]:
    """A new file, and nobody else's: between its making and its lock, another server that starts may have taken it
    for one that was left behind, and removed it."""
    while True:
        path = directory / f"{os.getpid()}-{uuid4().hex[:8]}{_SUFFIX}"
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file), path.stat()):
                return path, file
        os.close(file)


def _write_line(file: int, line: bytes) -> None:
    """All of it or nothing: a part, which is what a full disk takes, would spoil the line after it too."""
    written = os.write(file, line)
    if written < len(line):
        os.ftruncate(file, os.fstat(file).st_size - written)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _read(path: Path) -> Iterator[UsageRecord]:
    for line in path.read_bytes().split(b"\n"):
        if line:
            try:
                yield _decode(line)
            except msgspec.MsgspecError as error:
                # The last line of a full disk may be torn.
                log.warning("usage.journal_torn", file=path.name, why=str(error))
