"""Prometheus is told how the reconciler's steps end, and how long they take."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from modelyard.control.reconciling import reconciler as module
from modelyard.control.reconciling.reconciler import Reconciler
from modelyard.errors import Unavailable
from modelyard.settings import Settings
from modelyard.testing.clock import FakeClock
from modelyard.testing.deployments import deployment


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("modelyard_reconciler_steps_total", {"outcome": outcome}) or 0


def seconds() -> float:
    return REGISTRY.get_sample_value("modelyard_reconciler_step_seconds_sum") or 0


@pytest.mark.parametrize(
    ("error", "outcome"), [(None, "ok"), (Unavailable("away"), "put_off"), (ValueError("unforeseen"), "failed")]
)
async def test_a_step_is_counted_as_it_ends(
    error: Exception | None, outcome: str, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def step(*_: Any) -> Any:
        await clock.sleep(3)
        if error is not None:
            raise error
        return SimpleNamespace(changed=True)

    monkeypatch.setattr(module, "step", step)
    nobody: Any = None
    reconciler = Reconciler(nobody, nobody, clock, Settings(data_dir=tmp_path), load=nobody)
    monkeypatch.setattr(reconciler, "_note", lambda *_: None)
    before = {each: counted(each) for each in ("ok", "put_off", "failed")}
    took = seconds()
    tending = asyncio.create_task(reconciler._tend(deployment()))
    await clock.advance(0)
    await clock.advance(10)
    await tending
    assert {each: counted(each) - before[each] for each in before} == {**dict.fromkeys(before, 0), outcome: 1}
    assert seconds() - took == (3 if error is None else 0)
