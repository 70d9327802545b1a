"""What others are told of calls that are over, though the database is away: metrics, the log and OpenTelemetry."""

from collections.abc import Sequence
from typing import cast

from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from modelyard.control.usage.writer import UsageWriter
from modelyard.domain.traces import Trace
from modelyard.domain.usage import UsageRecord
from modelyard.errors import Unavailable
from modelyard.settings import UsageSettings
from modelyard.store import Store
from modelyard.testing.clock import FakeClock
from modelyard.testing.usage import make_usage

TRACE = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "b7ad6b7169203331", None, True)


class Away:
    def begin(self) -> None:
        raise Unavailable("gone")


async def test_each_call_is_told_once_whether_or_not_it_can_be_written() -> None:
    calls: list[Sequence[UsageRecord]] = []

    def counted() -> float:
        labels = {"verb": "embedding", "model": "told", "outcome": "ok"}
        return REGISTRY.get_sample_value("modelyard_calls_total", labels) or 0

    usage = UsageWriter(cast("Store", Away()), FakeClock(), UsageSettings(), tell=calls.append)
    records, before = [make_usage(model_name="told", trace=TRACE), make_usage(model_name="told")], counted()
    with capture_logs() as logs:
        for record in records:
            usage.record(record)
        assert not calls
        assert not await usage.flush()
        assert not await usage.flush()
    assert [list(told) for told in calls] == [records]
    assert counted() == before + 2
    traced, untraced = (line for line in logs if line["event"] == "call")
    assert {line["request_id"] for line in (traced, untraced)} == {"request"}
    assert (traced["trace_id"], traced["span_id"]) == (TRACE.trace_id, TRACE.span_id)
    assert not {"trace_id", "span_id"} & untraced.keys()


async def test_how_long_records_have_waited() -> None:
    clock = FakeClock()
    usage = UsageWriter(cast("Store", Away()), clock, UsageSettings(), log_calls=False)
    await clock.advance(5)
    assert usage.lag_seconds == 0
    usage.record(make_usage())
    await usage.flush()
    await clock.advance(20)
    assert usage.lag_seconds >= 20
