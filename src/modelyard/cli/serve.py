"""`modelyard serve`: start the server."""

from pathlib import Path
from typing import Annotated

import typer

from modelyard import catalog
from modelyard.cli.progress import shown
from modelyard.cli.settings import loaded
from modelyard.errors import WeightsError
from modelyard.settings import LauncherKind, Settings
from modelyard.weights.cache import WeightCache


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.  [default: 8080]")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where database, weights and logs are kept.")] = None,
    database_url: Annotated[
        str | None, typer.Option(help="postgresql://… or sqlite:///…  [default: SQLite in the data directory]")
    ] = None,
    gateways: Annotated[int | None, typer.Option(help="Gateway processes on the same port.  [default: 1]")] = None,
    launcher: Annotated[LauncherKind | None, typer.Option(help="Where workers run.  [default: local]")] = None,
) -> None:
    """Start the server. Options are stronger than MODELYARD_* variables and modelyard.toml."""
    # Imported late: the other commands need none of the server.
    import uvloop

    from modelyard.main import run

    settings = loaded(
        host=host, port=port, data_dir=data_dir, database_url=database_url, gateways=gateways, launcher=launcher
    )
    if settings.catalog.starters and settings.catalog.prefetch:
        _prefetch(settings)
    uvloop.run(run(settings))


def _prefetch(settings: Settings) -> None:
    """Fetch the starter models' weights where they are not there yet, showing how far it is. A server without them
    is of use too: their workers try again on the first call."""
    cache = WeightCache(settings.data_dir / "weights", settings.weights)
    for uri in dict.fromkeys(uri for starter in catalog.load().starters for uri in starter.weight_uris):
        try:
            with shown() as on_progress:
                cache.resolve(uri, on_progress=on_progress)
        except WeightsError as error:
            typer.secho(f"Starter weights could not be fetched, and will be on first use: {error}", err=True)
            return
