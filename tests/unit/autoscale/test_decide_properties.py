"""What holds for `decide` whatever load does."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from modelyard.domain.autoscale import Sample, Windows, decide
from modelyard.domain.deployments import Observed, Phase
from modelyard.testing.deployments import deployment, target, worker

loads = st.lists(st.integers(0, 500), max_size=80)


@given(
    load=loads,
    low=st.integers(0, 5),
    more=st.integers(0, 10),
    per_worker=st.integers(1, 50),
    wanted=st.none() | st.integers(0, 20),
    starting=st.integers(0, 3),
    idle_since=st.none() | st.floats(-1000, 80),
    demanded=st.booleans(),
)
def test_it_stays_within_bounds_and_never_lets_callers_wait(
    load: list[int],
    low: int,
    more: int,
    per_worker: int,
    wanted: int | None,
    starting: int,
    idle_since: float | None,
    demanded: bool,
) -> None:
    high = max(1, low + more)
    samples = [Sample(float(at), busy) for at, busy in enumerate(load)]
    of = replace(target(), min_workers=low, max_workers=high, per_worker=per_worker)
    rows = [worker(f"s{n}", Phase.LOADING) for n in range(starting)]
    asked = deployment(rows, of=of, observed=Observed(generation=1, wanted=wanted))
    result = decide(samples, asked, Windows(), float(len(load)), idle_since=idle_since, demanded=demanded)
    assert low <= result <= high
    if load and load[-1]:
        assert result >= 1
    if starting:
        assert result >= min(high, starting if wanted is None else wanted)
