"""The sum of what was answered is the sum of what was used, whatever is killed when, and however often.

``MODELYARD_CHAOS_KILLS`` says how often; `make accounting` kills 200 times.
"""

import asyncio
import os
import random
import signal
from contextlib import suppress

import httpx
import psutil
import pytest
from server_process import Start
from test_process_faults import SETTINGS, pids
from yard import Tell, Yard, adds_up, eventually, yard

from load import Counts, Load

KILLS = int(os.environ.get("MODELYARD_CHAOS_KILLS", "6"))
VICTIMS = ("gateway", "gateway", "gateway", "controller", "worker")
"""Drawn from by chance: those that write usage more often than others."""

pytestmark = pytest.mark.timeout(480 + 15 * KILLS)


async def kill_at_random(there: Yard, counts: Counts) -> None:
    chance = random.Random(20261125)
    load = Load(there.server.url, there.server.key, there.deployment, bound=1_000_000)
    load.counts = counts
    async with load:
        killed = 0
        while killed < KILLS:
            await load.answered(chance.randint(1, 30))
            await asyncio.sleep(chance.random() * 0.3)
            victims = victims_of(there, chance.choice(VICTIMS))
            if not victims:  # it is just being replaced
                continue
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                os.kill(chance.choice(victims), signal.SIGKILL)
                killed += 1
            # One of each is left or comes back before the next one dies: a server without any answers nobody.
            await eventually(lambda: len(pids(there.server, "gateway")) == 2 and bool(pids(there.server, "controller")))
            await eventually(lambda: serves(there))
    await there.settled(counts)
    await eventually(lambda: adds_up(there, counts))


def serves(there: Yard) -> bool:
    try:
        return there.ready() >= 1
    except httpx.HTTPError:  # the gateway that was asked is the one that was killed
        return False


def victims_of(there: Yard, role: str) -> list[int]:
    return sorted(there.pids() if role == "worker" else pids(there.server, role))


def test_answers_and_usage_are_equal_after_many_kills(
    start_server: Start, tmp_path_factory: pytest.TempPathFactory, tell: Tell
) -> None:
    counts = Counts()
    with yard(start_server, tmp_path_factory.mktemp("accounts"), counts, settings=SETTINGS) as there:
        asyncio.run(kill_at_random(there, counts))
    tell(f"{KILLS} kills at random: usage is what was answered", counts)
    assert not counts.uncounted
    assert not counts.foreign
    assert counts.answered > KILLS
