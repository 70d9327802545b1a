"""``modelyard revisions`` and ``modelyard rollback``: what a deployment was made of, and going back to that."""

import json
from typing import Annotated, Any

import typer

from modelyard.cli.client import DataDir, Server, Url
from modelyard.cli.deployments import AsJson, deployment_called
from modelyard.cli.tables import show

_VALUE = 40

Named = Annotated[str, typer.Argument(help="Id or name.")]


def revisions(deployment: Named, url: Url = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List a deployment's revisions, newest first: what changed, when and why."""
    with Server(url, data_dir) as server:
        found = list(server.items(f"{_path(deployment_called(server, deployment))}/revisions"))
    if as_json:
        for each in found:
            typer.echo(json.dumps(each))
        return
    show(("number", "revision", "state", "made", "why", "changes"), [_row(each) for each in found])


def rollback(
    deployment: Named,
    revision: Annotated[
        str | None, typer.Argument(help="Number or fingerprint; without it, the last good one before the present.")
    ] = None,
    url: Url = None,
    data_dir: DataDir = None,
) -> None:
    """Go back to an earlier revision. Does not wait for its workers: 'modelyard ps' tells how far they are."""
    body: dict[str, Any] = {"wait_for_ready": False}
    if revision is not None:
        # A fingerprint may be all digits, but has as many as no number has.
        body["revision"] = int(revision) if revision.isdigit() and len(revision) < 12 else revision
    with Server(url, data_dir) as server:
        changed = server.post(f"{_path(deployment_called(server, deployment))}/rollback", body)
    typer.echo(f"{changed['name']} goes to revision {changed['status_detail']['revision']}.")


def _path(deployment: dict[str, Any]) -> str:
    return f"/v4/models/{deployment['model_instance_id']}/deployments/{deployment['id']}"


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    changes = ", ".join(
        f"{each['field']}: {_short(each['before'])} → {_short(each['after'])}" for each in entry["changes"]
    )
    made = entry["created_at"][:19].replace("T", " ")
    return str(entry["number"]), entry["revision"], entry["state"], made, entry["why"], changes


def _short(value: object) -> str:
    text = "—" if value is None else " ".join(json.dumps(value, ensure_ascii=False).split())
    return f"{text[:_VALUE]}…" if len(text) > _VALUE else text
