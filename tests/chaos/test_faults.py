"""What happens to calls under way when workers die, roll over and go away."""

import asyncio
import signal

import pytest
from server_process import Start
from yard import CALLERS, Tell, Yard, adds_up, eventually, yard

from load import Counts

pytestmark = pytest.mark.timeout(480)

Paths = pytest.TempPathFactory


async def kill_one(there: Yard, counts: Counts) -> None:
    async with there.load() as load:
        load.counts = counts
        await load.answered(40)
        killed = there.server.workers()[0]
        killed.send_signal(signal.SIGKILL)
        await load.answered(100)
        await eventually(lambda: there.ready() == there.workers and killed.pid not in there.pids())
    await there.settled(counts)
    await eventually(lambda: adds_up(there, counts))


@pytest.mark.parametrize("workers", [2, 1])
def test_a_killed_worker_fails_no_call_and_is_replaced(
    start_server: Start, tmp_path_factory: Paths, tell: Tell, workers: int
) -> None:
    counts = Counts()
    with yard(start_server, tmp_path_factory.mktemp("killed"), counts, workers=workers) as there:
        asyncio.run(kill_one(there, counts))
    tell("a worker of two is killed" if workers == 2 else "the only worker is killed", counts)
    assert (counts.failed, counts.foreign) == (0, 0), counts.words
    # A stream of which the client has read a part cannot be asked for again.
    assert counts.cut <= CALLERS // 2, counts.words
    assert counts.sent == counts.answered + counts.cut


def test_an_update_under_load_drops_and_cuts_nothing(start_server: Start, tmp_path_factory: Paths, tell: Tell) -> None:
    counts = Counts()

    async def scenario(there: Yard) -> None:
        async with there.load() as load:
            load.counts = counts
            await load.answered(40)
            before = there.pids()
            await there.change(model_creation_parameters={"fake_delay_seconds": 0.03})
            await eventually(lambda: not before & there.pids())
            await load.answered(40)
        await there.settled(counts)
        await eventually(lambda: adds_up(there, counts))

    with yard(start_server, tmp_path_factory.mktemp("updated"), counts) as there:
        asyncio.run(scenario(there))
    tell("a configuration rolls over", counts)
    assert counts.whole, counts


def test_taking_a_worker_away_under_load_drops_and_cuts_nothing(
    start_server: Start, tmp_path_factory: Paths, tell: Tell
) -> None:
    counts = Counts()

    async def scenario(there: Yard) -> None:
        async with there.load() as load:
            load.counts = counts
            await load.answered(40)
            await there.change(vendor_configuration={"min_workers": 1, "max_workers": 1})
            there.workers = 1
            await eventually(lambda: len(there.pids()) == 1)
            await load.answered(40)
        await there.settled(counts)
        await eventually(lambda: adds_up(there, counts))

    with yard(start_server, tmp_path_factory.mktemp("fewer"), counts) as there:
        asyncio.run(scenario(there))
    tell("a worker of two is taken away", counts)
    assert counts.whole, counts
