"""`decide` over whole load curves: a table of what load did, and of how many workers followed it."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from modelyard.domain.autoscale import Sample, Windows, average, decide, recent, windows_of
from modelyard.domain.deployments import Observed, Phase
from modelyard.testing.deployments import deployment, target, worker

WINDOWS = Windows(idle_seconds=600, up_window_seconds=6, down_window_seconds=60)


@dataclass
class World:
    """A deployment whose workers take ``loading`` seconds to be ready, looked at once a second."""

    low: int = 0
    high: int = 8
    per_worker: int = 10
    loading: int = 1
    windows: Windows = WINDOWS
    wanted: int | None = 0
    born: list[int] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=lambda: [Sample(-1000.0, 0)])
    called: float | None = None
    grown_at: float | None = None
    curve: list[int] = field(default_factory=list)

    def run(self, load: Callable[[int], int], seconds: int) -> list[int]:
        """The number of workers wanted at each second."""
        start = len(self.curve)
        for now in range(start, start + seconds):
            busy = load(now)
            if busy:
                self.called = now
            self.samples.append(Sample(now, busy))
            self.curve.append(self._step(now))
        return self.curve[start:]

    def _step(self, now: int) -> int:
        rows = [
            worker(f"w{n}", Phase.READY if now - born >= self.loading else Phase.LOADING)
            for n, born in enumerate(self.born)
        ]
        of = replace(target(), min_workers=self.low, max_workers=self.high, per_worker=self.per_worker)
        given = deployment(rows, of=of, observed=Observed(generation=1, wanted=self.wanted, ready_revision="new"))
        self.wanted = decide(self.samples, given, self.windows, now, idle_since=self.called, grown_at=self.grown_at)
        while len(self.born) < self.wanted:
            self.born.append(now)
            self.grown_at = now
        del self.born[self.wanted :]
        return self.wanted


def test_nothing_runs_while_nobody_calls() -> None:
    assert World().run(lambda at: 0, 30) == [0] * 30


def test_the_first_call_wakes_one_worker_at_once() -> None:
    assert World().run(lambda at: 1, 1) == [1]


def test_a_burst_is_followed_within_the_up_window() -> None:
    curve = World().run(lambda at: 40, 10)
    assert curve[0] == 1
    assert curve[:7] == sorted(curve[:7])
    assert curve[6:] == [4, 4, 4, 4]


def test_a_blip_of_a_second_starts_no_fleet() -> None:
    assert max(World(wanted=1, born=[-100]).run(lambda at: 50 if at == 5 else 5, 20)) == 2


def test_load_that_ends_takes_workers_away_after_the_down_window() -> None:
    world = World()
    world.run(lambda at: 40, 100)
    curve = world.run(lambda at: 10, 90)
    assert curve[0] == 4
    assert curve == sorted(curve, reverse=True)
    # 10 in flight are what one worker serves, but a tenth more would not be.
    assert curve[-1] == 2
    assert world.run(lambda at: 9, 90)[-1] == 1


def test_to_none_only_after_the_idle_time() -> None:
    world = World()
    world.run(lambda at: 1, 10)
    curve = world.run(lambda at: 0, 700)
    # The last call was seen in second 9.
    assert curve.index(0) == 599
    assert set(curve[:599]) == {1}
    assert set(curve[599:]) == {0}


def test_min_workers_stay_without_any_call() -> None:
    world = World(low=2, wanted=2, born=[-100, -100])
    assert set(world.run(lambda at: 0, 1500)) == {2}


def test_never_more_than_max_workers() -> None:
    assert max(World(high=3).run(lambda at: 1000, 60)) == 3


def test_min_equal_to_max_never_moves() -> None:
    world = World(low=3, high=3, wanted=3, born=[-9, -9, -9])
    assert set(world.run(lambda at: at * 7 % 90, 300)) == {3}


def test_a_load_at_the_edge_does_not_flap() -> None:
    curve = World().run(lambda at: 9 if at % 20 < 10 else 11, 1200)
    settled = curve[30:]
    assert sum(a != b for a, b in itertools.pairwise(settled)) == 0


def test_a_wave_longer_than_the_windows_is_followed_down_and_up() -> None:
    curve = World().run(lambda at: 40 if at % 400 < 200 else 4, 800)
    assert (curve[190], curve[390], curve[590], curve[790]) == (4, 1, 4, 1)


def test_nothing_is_taken_away_while_a_worker_still_loads() -> None:
    world = World(loading=200)
    world.run(lambda at: 40, 10)
    curve = world.run(lambda at: 5, 250)
    assert set(curve[:180]) == {4}
    assert curve[-1] == 1


def test_a_slow_loader_is_not_started_twice_for_the_same_load() -> None:
    assert max(World(loading=120).run(lambda at: 20, 119)) == 2


def test_what_loads_for_a_caller_who_left_is_not_taken_away_before_it_is_ready() -> None:
    world = World(loading=700)
    world.run(lambda at: 1, 1)
    assert world.run(lambda at: 0, 690) == [1] * 690


def test_after_a_restart_nothing_is_taken_away_before_a_window_is_full() -> None:
    world = World(wanted=4, born=[-100] * 4, samples=[Sample(0.0, 5)], called=0)
    curve = world.run(lambda at: 5, 70)
    assert set(curve[:60]) == {4}
    assert curve[-1] == 1


def test_a_demand_counts_although_no_load_is_known_yet() -> None:
    given = deployment(of=target(workers=0), observed=Observed(generation=1, wanted=0))
    samples = [Sample(0.0, 0)]
    assert decide(samples, given, WINDOWS, 10.0, idle_since=None, demanded=True) == 1
    assert decide(samples, given, WINDOWS, 10.0, idle_since=None, demanded=False) == 0


def test_a_restarted_server_wakes_nobody() -> None:
    given = deployment(of=target(workers=0), observed=Observed(generation=1, wanted=0))
    assert decide([Sample(0.0, 0)], given, WINDOWS, 1.0, idle_since=0.5) == 0


@pytest.mark.parametrize(
    ("samples", "since", "until", "expected"),
    [
        ([Sample(0, 4)], 0, 10, 4),
        ([Sample(5, 4)], 0, 10, 2),
        ([Sample(0, 4), Sample(5, 8)], 0, 10, 6),
        ([Sample(0, 4), Sample(5, 8)], 5, 10, 8),
        ([Sample(0, 4), Sample(5, 8)], 7, 9, 8),
        ([], 0, 10, 0),
        ([Sample(0, 4)], 10, 10, 0),
        ([Sample(10, 4)], 0, 10, 0),
    ],
)
def test_the_average_is_weighted_by_time(samples: list[Sample], since: float, until: float, expected: float) -> None:
    assert average(samples, since, until) == expected


def test_old_samples_are_let_go_but_the_one_that_still_holds() -> None:
    samples = [Sample(0, 1), Sample(5, 2), Sample(9, 3)]
    assert recent(samples, 7) == samples[1:]
    assert recent(samples, 100) == samples[2:]
    assert recent(samples, -1) == samples


def test_a_deployment_overrides_the_settings() -> None:
    given = replace(deployment(), vendor_configuration={"idle_seconds": 5, "down_window_seconds": None})
    assert windows_of(given, WINDOWS) == Windows(5, 6, 60)
