"""Small models made on the spot, and weights that lie in a folder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelyard.errors import WeightsError


@dataclass(frozen=True)
class FolderWeights:
    """`modelyard.engines.base.Weights` over a folder: ``file:`` URIs only."""

    root: Path

    def resolve(self, uri: str) -> Path:
        path = Path(uri.removeprefix("file:"))
        if not path.exists():
            raise WeightsError(f"{path} is missing.")
        return path

    def derive(self, source: Path, name: str, make: Callable[[Path, Path], None]) -> Path:
        target = self.root / name
        if not target.exists():
            make(source, target)
        return target


@pytest.fixture
def weights(tmp_path: Path) -> FolderWeights:
    return FolderWeights(tmp_path)
