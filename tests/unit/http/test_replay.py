"""What a replay shows: what was answered then, and what another deployment answers now."""

from types import SimpleNamespace
from typing import Any

import pytest

from modelyard.domain.call_logs import KeptBody, KeptCall, LoggedCall
from modelyard.http.api import call_logs
from modelyard.http.api.wire.call_logs import ReplayBody, Replayed
from modelyard.testing.deployments import deployment
from modelyard.testing.usage import make_usage


async def test_both_answers_stand_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    record, anybody = make_usage(), SimpleNamespace()
    kept = KeptCall(record.id, record.started_at, record.account_id, "/v1/x", KeptBody("asked"), KeptBody("then"))

    async def to_replay(scope: Any, log_id: str, deployment_id: str) -> Any:
        assert (scope, log_id, deployment_id) == (anybody, "call", "d")
        return LoggedCall(record, kept), deployment()

    async def replayed(*_: Any) -> Replayed:
        return Replayed(status=200, request_id="r", answer="now")

    monkeypatch.setattr(call_logs, "replayed", replayed)
    parts: Any = SimpleNamespace(call_logs=SimpleNamespace(to_replay=to_replay), hot_routes=())
    scope: Any = anybody
    shown = await call_logs.replay(parts, scope, scope, "call", ReplayBody(deployment="d"))
    assert shown.logged.content is not None
    assert (shown.logged.content.answer, shown.replayed.answer, shown.replayed.status) == ("then", "now", 200)
