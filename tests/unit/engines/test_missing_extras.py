import sys
from pathlib import Path

import pytest

from modelyard.engines.base import Weights
from modelyard.engines.parameters import TransformersParameters
from modelyard.engines.transformers import Transformers
from modelyard.errors import EngineError


def test_without_torch_the_remedy_is_named(weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EngineError, match=r"pip install 'modelyard\[torch\]'"):
        Transformers(TransformersParameters(weights=f"file:{tmp_path}"), weights).load()
