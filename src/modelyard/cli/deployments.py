"""``modelyard ps`` and ``modelyard logs``: what is deployed, and what its workers write."""

import json
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from modelyard.cli.client import DataDir, Server, ServerError, Url

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one deployment per line.")]


def ps(url: Url = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List deployments, newest first."""
    with Server(url, data_dir) as server:
        deployments = list(server.items("/v4/model-deployments"))
        if as_json:
            for deployment in deployments:
                typer.echo(json.dumps(deployment))
            return
        models = {model["id"]: model for model in server.items("/v4/models")}
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("deployment", "model", "type", "status", "workers", "id"):
        table.add_column(heading, no_wrap=heading == "id", overflow="fold")
    for deployment in deployments:
        table.add_row(*_row(deployment, models.get(deployment["model_instance_id"], {})))
    Console().print(table)


def _row(deployment: dict[str, Any], model: dict[str, Any]) -> tuple[str, ...]:
    detail = deployment["status_detail"]
    status = deployment["status"] + (f"\n{detail['reason']}" if detail["reason"] else "")
    return (
        deployment["name"],
        model.get("name", ""),
        model.get("model_type", ""),
        status,
        f"{detail['workers_ready']}/{detail['workers_wanted']}",
        deployment["id"],
    )


def logs(
    deployment: Annotated[str, typer.Argument(help="Id or name.")],
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=10_000, help="Lines of each worker.")] = 200,
    url: Url = None,
    data_dir: DataDir = None,
) -> None:
    """Print the last lines that a deployment's workers wrote, those that failed lately included."""
    with Server(url, data_dir) as server:
        workers = server.get(f"/v4/model-deployments/{_id_of(server, deployment)}/logs", lines=lines)["workers"]
    for worker in workers:
        if len(workers) > 1:
            typer.secho(f"==> {worker['worker_id']} ({worker['phase']}) <==", err=True, bold=True)
        for line in worker["lines"]:
            typer.echo(line)
    if not workers:
        typer.secho("It has no worker now, and none that failed lately.", err=True)


def _id_of(server: Server, wanted: str) -> str:
    """The id of the one deployment with that id or name."""
    found = [each for each in server.items("/v4/model-deployments") if wanted in (each["id"], each["name"])]
    if not found:
        raise ServerError(f"There is no deployment '{wanted}'.", hint="'modelyard ps' lists them.")
    if len(found) > 1:
        ids = ", ".join(each["id"] for each in found)
        raise ServerError(f"There are {len(found)} deployments called '{wanted}'.", hint=f"Say which by its id: {ids}.")
    return str(found[0]["id"])
