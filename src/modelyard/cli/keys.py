"""``modelyard keys``: make, list, rotate and revoke API keys."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from modelyard.cli.client import DataDir, Server, Url
from modelyard.cli.tables import show

app = typer.Typer(name="keys", help="Make, list, rotate and revoke API keys.", no_args_is_help=True)


class Role(StrEnum):
    ADMIN = "admin"
    MANAGER = "manager"
    EDITOR = "editor"
    MEMBER = "member"
    VIEWER = "viewer"
    LABELER = "labeler"


class Scope(StrEnum):
    INFERENCE = "inference"
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"


KeyId = Annotated[str, typer.Argument(help="The key's id, as 'modelyard keys list' shows it.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    role: Annotated[
        Role | None,
        typer.Option(help="viewer reads, member (the default) calls models too, editor makes and changes them too."),
    ] = None,
    account: Annotated[str | None, typer.Option(help="The account's id; needed where you administer several.")] = None,
    holder: Annotated[
        str | None, typer.Option("--for", help="'me', or a service account's id; otherwise a new one is made.")
    ] = None,
    scope: Annotated[list[Scope] | None, typer.Option(help="Narrow the key to this; may be repeated.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Let it call this model or deployment only; may be repeated.")
    ] = None,
    expires_at: Annotated[str | None, typer.Option(help="When it ends, as in 2027-01-01T00:00:00Z.")] = None,
    url: Url = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key and print it: it is shown this once."""
    wanted = {
        "name": name,
        "role": role,
        "account_id": account,
        "identity_id": holder,
        "scopes": scope or None,
        "models": model or None,
        "expires_at": expires_at,
    }
    body = {field: value for field, value in wanted.items() if value is not None}
    with Server(url, data_dir) as server:
        made = server.post("/v4/api-keys", body)
    _print(made, f"Key {made['id']}; keep it, it is not shown again:")


@app.command("list")
def list_keys(url: Url = None, data_dir: DataDir = None) -> None:
    """List your own keys and those of the accounts that you administer."""
    with Server(url, data_dir) as server:
        keys = list(server.items("/v4/api-keys"))
    show(("name", "begins with", "role", "scopes", "made", "expires", "last used", "id"), map(_row, keys))


def _row(key: dict[str, Any]) -> tuple[str, ...]:
    roles = ", ".join(sorted({each["role"] for each in key["memberships"]}))
    moments = (_minute(key[field]) for field in ("created_at", "expires_at", "last_used_at"))
    return key["name"], key["prefix"], roles, ", ".join(key["scopes"] or ()), *moments, key["id"]


def _minute(moment: str | None) -> str:
    return (moment or "")[:16]


@app.command()
def rotate(
    key_id: KeyId,
    grace: Annotated[
        int, typer.Option(help="For how many seconds the secret until now stays valid; 0 ends it at once.")
    ] = 24 * 3600,
    url: Url = None,
    data_dir: DataDir = None,
) -> None:
    """Give a key another secret, under the same id, and print it: it is shown this once."""
    with Server(url, data_dir) as server:
        made = server.post(f"/v4/api-keys/{key_id}/rotate", {"grace_seconds": grace})
    _print(made, f"Key {key_id} is this from now on; what it was stays valid for {grace} s:")


@app.command()
def revoke(key_id: KeyId, url: Url = None, data_dir: DataDir = None) -> None:
    """Let nobody use a key any more."""
    with Server(url, data_dir) as server:
        server.delete(f"/v4/api-keys/{key_id}")
    typer.secho(f"Key {key_id} is revoked.", err=True)


def _print(made: dict[str, Any], words: str) -> None:
    # The key alone on standard output: to be piped to where it is kept.
    typer.secho(words, err=True)
    typer.echo(made["key"])
