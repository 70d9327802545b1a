"""Calls are counted in batches as they would be one by one."""

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Histogram, generate_latest

from modelyard.control.telemetry.metrics import _SECONDS, CALLS, FIRST_BYTE, TOTAL, count
from modelyard.domain.usage import Outcome, Verb
from modelyard.testing.usage import make_usage

SECONDS = (0.0, 0.001, 0.005, 0.0050001, 0.01, 0.9, 1, 299.0, 300, 301, 1e6)
"""Within classes, at their ends and beyond the last."""


def classes(histogram: Histogram, name: str, **labels: str) -> dict[str, float]:
    samples = [sample for metric in histogram.collect() for sample in metric.samples]
    return {
        f"{sample.name.removeprefix(name)} {sample.labels.get('le')}": sample.value
        for sample in samples
        if sample.labels.items() >= labels.items() and not sample.name.endswith("_created")
    }


def test_histograms_of_a_batch_are_those_of_its_calls_one_by_one() -> None:
    one_by_one = Histogram("x", "x", buckets=_SECONDS, registry=CollectorRegistry())
    for each in SECONDS:
        one_by_one.observe(each)
    for histogram, name in ((TOTAL, "modelyard_call_seconds"), (FIRST_BYTE, "modelyard_first_byte_seconds")):
        labels = {"verb": Verb.RERANKING.value}
        histogram.labels(**labels)
        before = classes(histogram, name, **labels)
        calls = CALLS.labels(Verb.RERANKING.value, "model name", "ok")
        already = calls._value.get()
        count(make_usage(verb=Verb.RERANKING, total_seconds=each, first_byte_seconds=each) for each in SECONDS)
        after = classes(histogram, name, **labels)
        assert {key: after[key] - before[key] for key in after} == pytest.approx(classes(one_by_one, "x"))
        assert calls._value.get() - already == len(SECONDS)


def test_calls_without_a_first_byte_have_none_in_the_histogram() -> None:
    labels = {"verb": Verb.COMPLETION.value}
    FIRST_BYTE.labels(**labels)
    before = classes(FIRST_BYTE, "modelyard_first_byte_seconds", **labels)
    count([make_usage(verb=Verb.COMPLETION, first_byte_seconds=None)])
    assert classes(FIRST_BYTE, "modelyard_first_byte_seconds", **labels) == before


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


def test_tokens_errors_and_what_vendors_answered_are_added_up() -> None:
    def now() -> list[float]:
        return [
            value("modelyard_tokens_total", model="counted", kind="prompt"),
            value("modelyard_tokens_total", model="counted", kind="response"),
            value("modelyard_call_errors_total", verb="execute", code="queue_full"),
            value("modelyard_vendor_calls_total", vendor="OPENAI", outcome="error"),
            value("modelyard_calls_total", verb="execute", model="counted", outcome="error"),
        ]

    before = now()
    failed = make_usage(
        verb=Verb.EXECUTE,
        model_name="counted",
        vendor="OPENAI",
        outcome=Outcome.ERROR,
        error_code="queue_full",
        prompt_tokens=7,
        response_tokens=3,
    )
    count([failed, failed])
    assert [after - first for after, first in zip(now(), before, strict=True)] == [14, 6, 2, 2, 2]


def test_a_name_that_is_no_text_keeps_nothing_else_from_being_told() -> None:
    count([make_usage(model_name="a\udcff")])
    told = generate_latest(REGISTRY).decode()
    assert 'modelyard_tokens_total{kind="prompt",model="a?"}' in told
    assert 'modelyard_calls_total{model="a?"' in told
