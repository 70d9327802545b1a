"""`modelyard settings`: every setting, its value, and where it came from; secrets masked."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, SecretStr, ValidationError
from rich.console import Console
from rich.table import Table

from modelyard.errors import ConfigurationError
from modelyard.settings import Settings, load, sources

MASK = "********"


def loaded(**options: Any) -> Settings:
    """Read the settings; a wrong one is named by its own variable, with what it should have been."""
    try:
        return load(**options)
    except ValidationError as error:
        lines = [f"{variable(tuple(map(str, e['loc'])))}: {e['msg']} (got {e['input']!r})" for e in error.errors()]
        raise ConfigurationError("these settings are wrong: " + "; ".join(lines)) from error


def variable(path: tuple[str, ...]) -> str:
    return "MODELYARD_" + "__".join(path).upper()


def leaves(group: BaseModel, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any, str]]:
    """Every setting below ``group``: its path, its value, what it is for."""
    for name, field in type(group).model_fields.items():
        value = getattr(group, name)
        if isinstance(value, BaseModel):
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value, " ".join((field.description or "").split())


def shown(value: Any) -> Any:
    match value:
        case SecretStr():
            return MASK
        case Path():
            return str(value)
        case dict():
            return {name: shown(each) for name, each in value.items()}
        case BaseModel():
            return {name: shown(getattr(value, name)) for name in type(value).model_fields}
        case BaseModel():
            return {name: shown(getattr(value, name)) for name in type(value).model_fields}
        case dict():
            return {name: shown(each) for name, each in value.items()}
        case _:
            return value


def _source(path: tuple[str, ...], where: Mapping[tuple[str, ...], str]) -> str:
    """Of a setting that is a table, by what stands in it."""
    return next((label for found, label in where.items() if found[: len(path)] == path), "default")


def settings(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Print every setting, its value and where it came from; secrets are masked."""
    current = loaded()
    where = sources()
    rows = [
        {"setting": variable(path), "value": shown(value), "source": _source(path, where), "description": text}
        for path, value, text in leaves(current)
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("Setting", "Value", "Source", "What it does")
    for row in rows:
        value = "" if row["value"] is None else str(row["value"])
        table.add_row(str(row["setting"]), value, str(row["source"]), str(row["description"]))
    Console().print(table)
