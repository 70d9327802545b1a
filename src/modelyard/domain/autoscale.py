"""How many workers a deployment should have: a pure function of the load it had, and of what is there.

Load is what was in flight and waiting, over all gateways. The rules, in the order in which they yield::

    never less than min_workers, never more than max_workers
    a call, and no worker at all                 one at once
    more load, averaged over the up window       as many as it needs
    less load, averaged over the down window     as few as it needs, but never while a worker still starts
    no call for idle_seconds                     none, where min_workers allows
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from modelyard.domain.deployments import COMING, Deployment, Phase

HEADROOM = 1.1
"""Workers are taken away only where a tenth more load would still fit: a load at the edge would flap."""

OVERRIDES = ("idle_seconds", "up_window_seconds", "down_window_seconds")
"""Fields of a deployment's ``vendor_configuration``, our own, that stand above the settings of the same name."""


@dataclass(frozen=True, slots=True)
class Windows:
    """Over how long load is averaged, and when no load means none; seconds."""

    idle_seconds: float = 600
    up_window_seconds: float = 6
    down_window_seconds: float = 60

    @property
    def longest(self) -> float:
        """How much history `decide` looks at."""
        return max(self.up_window_seconds, self.down_window_seconds)


@dataclass(frozen=True, slots=True)
class Sample:
    """The load from ``at`` (seconds) until the next sample."""

    at: float
    load: int


@dataclass(frozen=True, slots=True)
class Workers:
    """What is there, draining workers left out."""

    wanted: int
    """The last decision; where there was none, as many as there are."""
    starting: int
    """Workers that are not ready yet."""


def windows_of(deployment: Deployment, settings: Windows) -> Windows:
    """``settings``, overridden by what the deployment's own configuration says."""
    said = {
        name: float(deployment.vendor_configuration[name])
        for name in OVERRIDES
        if deployment.vendor_configuration.get(name) is not None
    }
    return Windows(
        idle_seconds=said.get("idle_seconds", settings.idle_seconds),
        up_window_seconds=said.get("up_window_seconds", settings.up_window_seconds),
        down_window_seconds=said.get("down_window_seconds", settings.down_window_seconds),
    )


def workers_of(deployment: Deployment) -> Workers:
    there = [row for row in deployment.workers if row.phase in (*COMING, Phase.READY)]
    wanted = deployment.observed.wanted
    return Workers(
        wanted=len(there) if wanted is None else wanted,
        starting=sum(row.phase in COMING for row in there),
    )


def decide(
    samples: Sequence[Sample],
    deployment: Deployment,
    windows: Windows,
    now: float,
    *,
    idle_since: float | None,
    grown_at: float | None = None,
    demanded: bool = False,
) -> int:
    """How many workers are wanted at ``now``.

    ``samples`` are in the order of time; the last one holds until ``now``, and before the first one nothing is
    known, so that nothing is taken away until a whole window is. ``idle_since`` is when the last call ended (or
    the last worker became ready for it); None: there never was any. ``grown_at`` is when the newest worker was
    added: it is given a whole window, or a rising load would take away what it has just got. ``demanded``: a call
    asked for a worker lately, perhaps of a gateway whose load is not known yet.
    """
    target, workers = deployment.target, workers_of(deployment)
    load = samples[-1].load if samples else 0
    used = load > 0 or demanded
    if not used and (idle_since is None or now - idle_since >= windows.idle_seconds):
        least, wanted = 0, workers.wanted if workers.starting else 0
    else:
        least = int(used or workers.wanted > 0)
        least = max(least, math.ceil(average(samples, now - windows.up_window_seconds, now) / target.per_worker))
        wanted = max(least, workers.wanted)
        since = now - windows.down_window_seconds
        known = bool(samples) and samples[0].at <= since and (grown_at is None or grown_at <= since)
        if wanted > least and known and not workers.starting:
            falling = average(samples, since, now) * HEADROOM / target.per_worker
            wanted = max(least, min(wanted, math.ceil(falling)))
    return max(target.min_workers, min(wanted, target.max_workers))


def average(samples: Sequence[Sample], since: float, until: float) -> float:
    """The mean load between two points in time, weighted by how long each lasted; none before the first sample."""
    if until <= since or not samples:
        return 0.0
    area = 0.0
    for sample, end in zip(samples, [*(each.at for each in samples[1:]), until], strict=True):
        area += sample.load * max(0.0, min(end, until) - max(sample.at, since))
    # Sums of many parts miss whole numbers by a hair, and a hair is a worker once it is rounded up.
    return round(area / (until - since), 6)


def recent(samples: Iterable[Sample], since: float) -> list[Sample]:
    """The samples that say anything about the time from ``since`` on."""
    kept = list(samples)
    while len(kept) > 1 and kept[1].at <= since:
        kept.pop(0)
    return kept
