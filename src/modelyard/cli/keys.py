"""``modelyard keys``: make, list and revoke API keys."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from modelyard.cli.client import DataDir, Server, Url
from modelyard.cli.tables import show

app = typer.Typer(name="keys", help="Make, list and revoke API keys.", no_args_is_help=True)


class Role(StrEnum):
    ADMIN = "admin"
    MANAGER = "manager"
    EDITOR = "editor"
    MEMBER = "member"
    VIEWER = "viewer"
    LABELER = "labeler"


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    role: Annotated[
        Role, typer.Option(help="viewer reads, member calls models too, editor makes and changes them too.")
    ] = Role.MEMBER,
    account: Annotated[str | None, typer.Option(help="The account's id; needed where you administer several.")] = None,
    expires_at: Annotated[str | None, typer.Option(help="When it ends, as in 2027-01-01T00:00:00Z.")] = None,
    url: Url = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key and print it: it is shown this once."""
    wanted = {"name": name, "role": role.value, "account_id": account, "expires_at": expires_at}
    body = {field: value for field, value in wanted.items() if value is not None}
    with Server(url, data_dir) as server:
        made = server.post("/v4/api-keys", body)
    typer.secho(f"Key {made['id']} with the role {role.value}; keep it, it is not shown again:", err=True)
    typer.echo(made["key"])


@app.command("list")
def list_keys(url: Url = None, data_dir: DataDir = None) -> None:
    """List the keys of the accounts that you administer."""
    with Server(url, data_dir) as server:
        keys = list(server.items("/v4/api-keys"))
    show(("name", "begins with", "role", "made", "expires", "id"), map(_row, keys))


def _row(key: dict[str, Any]) -> tuple[str, ...]:
    roles = ", ".join(sorted({each["role"] for each in key["memberships"]}))
    return key["name"], key["prefix"], roles, key["created_at"][:16], (key["expires_at"] or "")[:16], key["id"]


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id.")], url: Url = None, data_dir: DataDir = None
) -> None:
    """Let nobody use a key any more."""
    with Server(url, data_dir) as server:
        server.delete(f"/v4/api-keys/{key_id}")
    typer.secho(f"Key {key_id} is revoked.", err=True)
