"""``modelyard ps`` and ``modelyard logs``: what is deployed, and what its workers write."""

import json
from typing import Annotated, Any

import typer

from modelyard.cli.client import DataDir, Server, ServerError, Url
from modelyard.cli.tables import show

_WHY = 100

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
    show(
        ("deployment", "model", "type", "status", "workers", "id", "why"),
        [_row(each, models.get(each["model_instance_id"], {})) for each in deployments],
    )


def _row(deployment: dict[str, Any], model: dict[str, Any]) -> tuple[str, ...]:
    detail = deployment["status_detail"]
    why = " ".join((detail["reason"] or "").split())
    return (
        deployment["name"],
        model.get("name", ""),
        model.get("model_type", ""),
        deployment["status"],
        f"{detail['workers_ready']}/{detail['workers_wanted']}",
        deployment["id"],
        f"{why[:_WHY]}…" if len(why) > _WHY else why,
    )


def logs(
    deployment: Annotated[str, typer.Argument(help="Id or name.")],
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=10_000, help="Lines of each worker.")] = 200,
    url: Url = None,
    data_dir: DataDir = None,
) -> None:
    """Print the last lines that a deployment's workers wrote, those that failed lately included."""
    with Server(url, data_dir) as server:
        found = deployment_called(server, deployment)
        workers = server.get(f"/v4/model-deployments/{found['id']}/logs", lines=lines)["workers"]
    for worker in workers:
        if len(workers) > 1:
            typer.secho(f"==> {worker['worker_id']} ({worker['phase']}) <==", err=True, bold=True)
        for line in worker["lines"]:
            typer.echo(line)
    if not workers:
        typer.secho("It has no worker now, and none that failed lately.", err=True)


def deployment_called(server: Server, wanted: str) -> dict[str, Any]:
    """The one deployment with that id or name."""
    found = [each for each in server.items("/v4/model-deployments") if wanted in (each["id"], each["name"])]
    if not found:
        raise ServerError(f"There is no deployment '{wanted}'.", hint="'modelyard ps' lists them.")
    if len(found) > 1:
        ids = ", ".join(each["id"] for each in found)
        raise ServerError(f"There are {len(found)} deployments called '{wanted}'.", hint=f"Say which by its id: {ids}.")
    return dict(found[0])
