"""The `modelyard` command: one file per sub-command, joined here."""

import sys
from typing import Annotated

import typer

from modelyard import __version__
from modelyard.cli import db, deployments, keys, pull, revisions, serve, settings, worker
from modelyard.errors import ModelyardError

app = typer.Typer(
    name="modelyard",
    help="A self-hosted model platform: host models, and call them and the vendors' models in one way.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("serve")(serve.serve)
app.command("settings")(settings.settings)
app.command("pull")(pull.pull)
app.command("ps")(deployments.ps)
app.command("logs")(deployments.logs)
app.command("revisions")(revisions.revisions)
app.command("rollback")(revisions.rollback)
app.command("worker", hidden=True)(worker.worker)
app.add_typer(keys.app, name="keys")
app.add_typer(db.app, name="db")


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False) -> None:
    if version:
        typer.echo(f"modelyard {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command; what a user can mend is one sentence on standard error, not a traceback."""
    try:
        app()
    except ModelyardError as error:
        typer.secho(f"modelyard: {error}", err=True, fg=typer.colors.RED)
        sys.exit(1)
