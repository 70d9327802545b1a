"""How far a download is, on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bars

from modelyard.weights.progress import FetchPhase, Progress

_WORDS = {
    FetchPhase.WAITING: "waiting for another process that fetches it",
    FetchPhase.DOWNLOADING: "downloading",
    FetchPhase.EXTRACTING: "extracting",
    FetchPhase.CHECKING: "checking",
    FetchPhase.READY: "ready",
}


@contextmanager
def shown(*, cached: bool = True) -> Iterator[Callable[[Progress], None]]:
    """A progress bar on a terminal; a line for each phase elsewhere. ``cached``: a bar also for what was there
    already."""
    console = Console(stderr=True)
    if not console.is_terminal:
        phases: list[FetchPhase] = []

        def tell(progress: Progress) -> None:
            if progress.phase is not FetchPhase.READY and progress.phase not in phases:
                phases.append(progress.phase)
                typer.echo(f"{progress.uri}: {_WORDS[progress.phase]}", err=True)

        yield tell
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console) as bars:
        tasks: list[TaskID] = []

        def draw(progress: Progress) -> None:
            words = f"{progress.uri.partition('#')[0].rpartition('/')[2]}: {_WORDS[progress.phase]}"
            if not tasks and (cached or progress.phase is not FetchPhase.READY):
                tasks.append(bars.add_task(words, total=None))
            for task in tasks:
                bars.update(task, description=words, completed=progress.done_bytes, total=progress.total_bytes)

        yield draw
