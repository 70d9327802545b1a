"""A page's commands, run as somebody runs them who reads it: block after block, in one shell."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_END = "-- the end of a block --"


def blocks_of(page: Path) -> list[str]:
    """The page's commands; every fenced block must hold some."""
    text = page.read_text()
    fences = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert {language for language, _ in fences} == {"sh"}, "what is no command is not tested"
    return [block for _, block in fences]


class Terminal:
    """A shell that ends, and with it the test, at the first command that fails."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._shell = subprocess.Popen(
            ["bash", "-euo", "pipefail"],
            cwd=folder,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, block: str) -> str:
        """What the commands print."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{block}\necho; echo '{_END}'\n")
        self._shell.stdin.flush()
        lines = []
        for line in self._shell.stdout:
            if line.rstrip("\n") == _END:
                return "".join(lines)
            lines.append(line)
        raise AssertionError(f"a command failed:\n{block}\n{''.join(lines)}")

    def value(self, name: str) -> str:
        """A variable's."""
        return self.run(f'echo "${name}"').strip()

    def close(self) -> None:
        self._shell.kill()
        self._shell.communicate()


def answers(printed: str) -> list[Any]:
    """The JSON in what was printed, as one call after another answered it."""
    decoder, found, at = json.JSONDecoder(), [], printed.find("{")
    while at >= 0:
        value, end = decoder.raw_decode(printed, at)
        found.append(value)
        at = printed.find("{", end)
    return found
