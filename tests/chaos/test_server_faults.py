"""What happens to calls, workers and usage records when the server itself is killed, or told to stop."""

import asyncio
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest
from server_process import Server, Start
from test_faults import CALLERS, Yard, eventually, yard

from load import Counts, Load

pytestmark = pytest.mark.timeout(180)

Tell = Callable[[str, Counts], None]


def recorded(server: Server) -> Counter[str]:
    """How many usage records each request has."""
    with sqlite3.connect(f"file:{server.data_dir / 'modelyard.db'}?mode=ro", uri=True) as database:
        return Counter(row[0] for row in database.execute("SELECT request_id FROM usage"))


def each_answer_counted_once(server: Server, counts: Counts) -> bool:
    there = recorded(server)
    return all(there[request_id] == 1 for request_id in counts.ids)


def test_a_killed_server_loses_no_usage_and_finds_its_workers_again(
    start_server: Start, tmp_path_factory: pytest.TempPathFactory, tell: Tell
) -> None:
    async def scenario(there: Yard) -> Counts:
        async with there.load() as load:
            await load.answered(60)
            there.server.process.send_signal(signal.SIGKILL)
            there.server.process.wait()
            before = {worker.pid for worker in there.server.workers()}
            again = await asyncio.to_thread(
                start_server,
                there.server.data_dir,
                MODELYARD_CATALOG__STARTERS="false",
                MODELYARD_PORT=str(urlsplit(there.server.url).port),
            )
            there.server.process = again.process
            await load.answered(60)
            assert {worker.pid for worker in there.server.workers()} == before, "workers are adopted, none doubled"
        return load.counts

    with yard(start_server, tmp_path_factory.mktemp("server")) as there:
        counts = asyncio.run(scenario(there))
        asyncio.run(eventually(lambda: each_answer_counted_once(there.server, counts)))
        twice = [request_id for request_id, records in recorded(there.server).items() if records > 1]
        assert not twice
    tell("the server is killed and comes back", counts)
    assert (counts.failed, counts.foreign) == (0, 0), counts.words
    assert counts.cut <= CALLERS, counts.words  # those that were on its connections
    assert counts.sent == counts.answered + counts.cut + counts.refused


def test_a_server_told_to_stop_finishes_what_it_has_begun(
    start_server: Start, tmp_path_factory: pytest.TempPathFactory, tell: Tell
) -> None:
    async def scenario(there: Yard) -> Counts:
        async with Load(there.server.url, there.server.key, there.deployment, CALLERS) as load:
            await load.answered(40)
            there.server.process.send_signal(signal.SIGTERM)
            load.end_at_refusal()
            await asyncio.to_thread(there.server.process.wait, 90)
        return load.counts

    with yard(start_server, tmp_path_factory.mktemp("told"), stop=False) as there:
        counts = asyncio.run(scenario(there))
        assert there.server.process.returncode == 0
        assert not there.server.workers(), "workers outlive their server"
        assert each_answer_counted_once(there.server, counts)
    tell("the server is told to stop", counts)
    assert (counts.failed, counts.cut, counts.foreign) == (0, 0, 0), counts.words
    assert counts.sent == counts.answered + counts.refused


def test_deleting_under_load_finishes_what_has_begun(
    start_server: Start, tmp_path_factory: pytest.TempPathFactory, tell: Tell
) -> None:
    async def scenario(there: Yard) -> Counts:
        async with there.load() as load:
            await load.answered(40)
            load.end_at_refusal()
            answer = await asyncio.to_thread(there.api.delete, there.path)
            assert answer.status_code == 200, answer.text
            await eventually(lambda: not there.server.workers())
        return load.counts

    with yard(start_server, tmp_path_factory.mktemp("deleted")) as there:
        counts = asyncio.run(scenario(there))
    tell("a deployment is deleted under load", counts)
    assert (counts.failed, counts.cut, counts.foreign) == (0, 0, 0), counts.words
    assert counts.refused > 0
    assert counts.sent == counts.answered + counts.refused
