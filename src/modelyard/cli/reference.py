"""``docs/reference/settings.md`` and ``cli.md``, made from the code: ``python -m modelyard.cli.reference DIRECTORY``.

A test compares them with what is committed.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel

from modelyard.cli.settings import leaves, shown, variable
from modelyard.settings import Settings

_SETTINGS_HEAD = """# Settings

Every setting can be given as an environment variable, or as a key of `modelyard.toml` in the working directory (or the
file that `MODELYARD_CONFIG_FILE` names); those of the first table also as options of `modelyard serve`. Options win
over variables, variables over the file. `modelyard settings` prints what is in effect, and where it came from.

```toml
port = 9000

[gateway]
drain_seconds = 30        # MODELYARD_GATEWAY__DRAIN_SECONDS=30
```
"""


def settings_page() -> str:
    # Built without any source, so that this machine's own environment does not show.
    defaults = Settings.model_construct()
    groups = {
        name: field.default for name, field in Settings.model_fields.items() if isinstance(field.default, BaseModel)
    }
    lines = [_SETTINGS_HEAD, "## Server", "", *_table(defaults, skip=set(groups))]
    for name, group in groups.items():
        lines += ["", f"## {name.capitalize()}", "", *_table(group, (name,))]
    return "\n".join(lines) + "\n"


def _table(group: BaseModel, path: tuple[str, ...] = (), skip: set[str] = frozenset()) -> Iterator[str]:  # type: ignore[assignment]
    yield "| Setting | Default | What it does |"
    yield "|---|---|---|"
    for where, value, text in leaves(group, path):
        if where[len(path)] not in skip:
            yield f"| `{variable(where)}` | {_default(where, value)} | {text} |"


def _default(where: tuple[str, ...], value: Any) -> str:
    if where == ("data_dir",):
        return "the platform's user data directory"
    if value is None:
        return "not set"
    plain = shown(value)
    return f"`{str(plain).lower() if isinstance(plain, bool) else plain}`"


_CLI_HEAD = """# Commands

`make install` puts the `modelyard` command into `.venv/bin`. All but `serve`, `settings`, `pull` and `db` talk to
a running server: the one that `--url` or `MODELYARD_URL` names, else the host and port of the settings, with the key in
`MODELYARD_API_KEY`, else the administrator's in the data directory.
"""


def cli_page() -> str:
    from modelyard.cli.app import app

    root = typer.main.get_command(app)
    lines = [_CLI_HEAD]
    for path, command in _commands(root, ()):
        lines += [f"## modelyard {' '.join(path)}", "", " ".join((command.help or "").split()), ""]
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
        usage = " ".join([*path, *((p.metavar or p.name or "").upper() for p in arguments)])
        lines += ["```sh", f"modelyard {usage}{' [OPTIONS]' if options else ''}", "```", ""]
        if options:
            lines += ["| Option | What it does |", "|---|---|"]
            lines += [f"| `{', '.join(p.opts)}` | {' '.join((p.help or '').split())} |" for p in options]
            lines += [""]
    return "\n".join(lines).rstrip() + "\n"


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, child in command.commands.items():
        if child.hidden:
            continue
        if hasattr(child, "commands"):
            yield from _commands(child, (*path, name))
        else:
            yield (*path, name), child


def main(directory: Path) -> None:
    (directory / "settings.md").write_text(settings_page())
    (directory / "cli.md").write_text(cli_page())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
