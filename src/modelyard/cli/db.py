"""`modelyard db`: the schema, for those who bring it up to date themselves."""

import asyncio
from typing import Annotated

import typer

from modelyard.cli.settings import loaded
from modelyard.store import Store

app = typer.Typer(help="Look after the database schema (serve brings it up to date by itself).", no_args_is_help=True)
Url = Annotated[str | None, typer.Option("--database-url", help="postgresql://… or sqlite:///…  [default: as serve]")]


@app.command()
def upgrade(database_url: Url = None) -> None:
    """Bring the schema to this version of modelyard."""
    typer.echo(asyncio.run(_revision(database_url, migrate=True)))


@app.command()
def current(database_url: Url = None) -> None:
    """Print the schema's revision."""
    typer.echo(asyncio.run(_revision(database_url, migrate=False)) or "empty")


async def _revision(database_url: str | None, *, migrate: bool) -> str | None:
    store = await Store.open(loaded(database_url=database_url).database)
    try:
        if migrate:
            await store.migrate()
        return await store.schema_revision()
    finally:
        await store.aclose()
