"""A real SQLite store in a folder of the test's own, and a clock that stands still."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from modelyard.store import Store
from modelyard.testing.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite:///{tmp_path / 'test.db'}")
    await opened.migrate()
    yield opened
    await opened.aclose()
