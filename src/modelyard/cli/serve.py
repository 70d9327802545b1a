"""`modelyard serve`: start the server."""

from pathlib import Path
from typing import Annotated

import typer

from modelyard.cli.prefetch import prefetch
from modelyard.cli.settings import loaded
from modelyard.settings import LauncherKind


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
    from modelyard.supervisor import serve as serve_until_told

    settings = loaded(
        host=host, port=port, data_dir=data_dir, database_url=database_url, gateways=gateways, launcher=launcher
    )
    if settings.catalog.starters and settings.catalog.prefetch:
        prefetch(settings)
    serve_until_told(settings)
