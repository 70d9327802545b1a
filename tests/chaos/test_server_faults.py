"""What happens to calls, workers and usage records when the server itself is killed, or told to stop."""

import asyncio
import signal
from collections import Counter
from urllib.parse import urlsplit

import pytest
from server_process import Start
from yard import CALLERS, Tell, Yard, adds_up, eventually, usage_rows, yard

from load import Counts

pytestmark = pytest.mark.timeout(480)

Paths = pytest.TempPathFactory


def test_a_killed_server_loses_no_usage_and_finds_its_workers_again(
    start_server: Start, tmp_path_factory: Paths, tell: Tell
) -> None:
    counts = Counts()

    async def scenario(there: Yard) -> None:
        async with there.load() as load:
            load.counts = counts
            await load.answered(60)
            there.server.process.send_signal(signal.SIGKILL)
            there.server.process.wait()
            before = there.pids()
            again = await asyncio.to_thread(
                start_server,
                there.server.data_dir,
                MODELYARD_CATALOG__STARTERS="false",
                MODELYARD_PORT=str(urlsplit(there.server.url).port),
            )
            there.server.process = again.process
            await load.answered(60)
            assert there.pids() == before, "workers are adopted, none doubled"
        await there.settled(counts)
        await eventually(lambda: adds_up(there, counts))

    with yard(start_server, tmp_path_factory.mktemp("server"), counts) as there:
        asyncio.run(scenario(there))
    tell("the server is killed and comes back", counts)
    assert (counts.failed, counts.foreign) == (0, 0), counts.words
    assert counts.cut <= CALLERS, counts.words  # those that were on its connections
    assert counts.sent == counts.answered + counts.cut + counts.refused


def test_a_server_told_to_stop_finishes_what_it_has_begun(
    start_server: Start, tmp_path_factory: Paths, tell: Tell
) -> None:
    counts = Counts()

    async def scenario(there: Yard) -> None:
        async with there.load() as load:
            load.counts = counts
            await load.answered(40)
            there.server.process.send_signal(signal.SIGTERM)
            load.end_at_refusal()
            await asyncio.to_thread(there.server.process.wait, 90)

    with yard(start_server, tmp_path_factory.mktemp("told"), stop=False) as there:
        asyncio.run(scenario(there))
        assert there.server.process.returncode == 0
        counts.orphaned = len(there.server.workers())
        rows = usage_rows(there)
        counts.compare(Counter(row[0] for row in rows))
        assert len(rows) == counts.answered, "what was begun was answered"
    tell("the server is told to stop", counts)
    assert (counts.failed, counts.cut, counts.foreign, counts.uncounted, counts.orphaned) == (0, 0, 0, 0, 0), counts
    assert counts.sent == counts.answered + counts.refused


def test_deleting_under_load_finishes_what_has_begun(start_server: Start, tmp_path_factory: Paths, tell: Tell) -> None:
    counts = Counts()

    async def scenario(there: Yard) -> None:
        async with there.load() as load:
            load.counts = counts
            await load.answered(40)
            load.end_at_refusal()
            answer = await asyncio.to_thread(there.api.delete, there.path)
            assert answer.status_code == 200, answer.text
            await eventually(lambda: not there.server.workers())

    with yard(start_server, tmp_path_factory.mktemp("deleted"), counts) as there:
        asyncio.run(scenario(there))
    tell("a deployment is deleted under load", counts)
    assert (counts.failed, counts.cut, counts.foreign) == (0, 0, 0), counts.words
    assert counts.refused > 0
    assert counts.sent == counts.answered + counts.refused
