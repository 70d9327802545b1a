"""For all tests: none may leave a process behind, and tracebacks are plain."""

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import structlog

# Imported by bare name: with importmode=importlib pytest puts no test folder on the path.
sys.path.insert(0, str(Path(__file__).parent))

from leaks import described, left_since, present
from postgres_server import Postgres, running

_WITH_PROCESSES = ("integration", "contract", "e2e", "chaos")


@pytest.fixture(autouse=True)
def plain_tracebacks() -> None:
    """As a server configures them. structlog's own default draws all local variables, for many seconds each time."""
    if not structlog.is_configured():
        *before, _ = structlog.get_config()["processors"]
        renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
        structlog.configure(processors=[*before, renderer])


@pytest.fixture(autouse=True)
def no_process_is_left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fails a test that leaves child processes or workers behind, and ends them."""
    if request.path.relative_to(Path(__file__).parent).parts[0] not in _WITH_PROCESSES:
        yield
        return
    directory = tmp_path_factory.getbasetemp()
    before = present(directory)
    yield
    left = left_since(before, directory)
    if left:
        words = [described(process) for process in left]
        for process in left:
            try:
                process.kill()
            except psutil.Error:
                continue
        pytest.fail("left behind:\n" + "\n".join(words))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests that may share one."""
    with running() as started:
        yield started


@pytest.fixture(scope="session")
def migrated_postgres(postgres: Postgres) -> str:
    """The name of a database with all tables and nothing in them, to be copied."""
    return postgres.migrated()
