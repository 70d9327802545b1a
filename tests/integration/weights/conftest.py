import os
from pathlib import Path

import pytest

from modelyard.settings import WeightsSettings
from modelyard.weights.cache import WeightCache


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """Kept between runs, and shared by everything in this checkout that needs real weights."""
    default = Path(__file__).parents[3] / ".cache" / "weights"
    return Path(os.environ.get("MODELYARD_TEST_WEIGHTS_DIR", default))


@pytest.fixture
def shared_cache(weights_dir):
    return WeightCache(weights_dir, WeightsSettings())


@pytest.fixture
def fresh_cache(tmp_path):
    return WeightCache(tmp_path / "cache", WeightsSettings(min_free_bytes=0))


@pytest.fixture(scope="session")
def safetensors() -> bytes:
    """A whole safetensors file of one tensor."""
    header = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    return len(header).to_bytes(8, "little") + header + bytes(8)
