"""Faults under load. What was counted is printed when all is done."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Imported by bare name: with importmode=importlib pytest puts no test folder on the path.
sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))
sys.path.insert(0, str(Path(__file__).parent))

from container_engine import engine
from servers import start_server, weights_dir

from load import Counts

__all__ = ["engine", "start_server", "weights_dir"]

ROWS = pytest.StashKey[list[str]]()


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str, Counts], None]:
    """Notes the counts of a scenario for the table at the end."""
    rows = request.config.stash.setdefault(ROWS, [])
    return lambda name, counts: rows.append(counts.row(name))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if rows := config.stash.get(ROWS, []):
        terminalreporter.section("faults under load")
        for row in [Counts.heading(), *rows]:
            terminalreporter.write_line(row)
