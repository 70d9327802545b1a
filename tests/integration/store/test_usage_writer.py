"""The usage writer on a real store: batches, a database that is away, records that cannot be written."""

import asyncio
import contextlib
import fcntl
import os

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from modelyard.control.usage.journal import Journal, left_behind
from modelyard.control.usage.writer import UsageWriter
from modelyard.errors import Unavailable
from modelyard.settings import UsageSettings
from modelyard.store.tables_of_usage import usage as table
from modelyard.testing.clock import FakeClock


class Flaky:
    """A store that can be away, and counts its transactions."""

    def __init__(self, store):
        self.store = store
        self.away = False
        self.fails_after_commit = False
        self.transactions = 0
        self.open = asyncio.Event()
        self.open.set()

    @contextlib.asynccontextmanager
    async def begin(self):
        if self.away:
            raise Unavailable("The database is away.", code="database_unavailable")
        self.transactions += 1
        await self.open.wait()
        async with self.store.begin() as tx:
            yield tx
        if self.fails_after_commit:
            raise Unavailable("The connection broke while it was committing.", code="database_unavailable")


@pytest.fixture
def flaky(store):
    return Flaky(store)


def writer(store, clock=None, **settings):
    log_calls = settings.pop("log_calls", False)
    journal = settings.pop("journal", None)
    return UsageWriter(store, clock or FakeClock(), UsageSettings(**settings), log_calls=log_calls, journal=journal)


async def count(store):
    async with store.read() as tx:
        return (await tx.usage._session.execute(select(func.count()).select_from(table))).scalar_one()


async def eventually(condition):
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_nothing_is_written_on_the_hot_path_and_all_of_it_in_batches(flaky, store, make):
    usage = writer(flaky)
    for _ in range(2500):
        usage.record(make.usage())
    assert (flaky.transactions, usage.waiting) == (0, 2500)
    assert await usage.flush()
    assert (flaky.transactions, usage.waiting, usage.dropped) == (3, 0, 0)
    assert await count(store) == 2500
    assert await usage.flush()
    assert flaky.transactions == 3


async def test_the_loop_writes_every_interval(flaky, store, make):
    clock = FakeClock()
    usage = writer(flaky, clock, flush_seconds=2)
    loop = asyncio.create_task(usage.run())
    await clock.advance(0)
    await clock.advance(1)
    usage.record(make.usage())
    await clock.advance(0.5)
    assert usage.waiting == 1
    await clock.advance(0.5)

    async def written():
        return await count(store) == 1

    await eventually(written)
    loop.cancel()
    await asyncio.wait([loop])


async def test_records_are_kept_while_the_database_is_away(flaky, store, make):
    usage = writer(flaky)
    flaky.away = True
    with capture_logs() as logs:
        for _ in range(3):
            usage.record(make.usage())
            assert not await usage.flush()
        assert usage.waiting == 3
        flaky.away = False
        assert await usage.flush()
    assert (await count(store), usage.waiting, usage.dropped) == (3, 0, 0)
    assert [line["event"] for line in logs] == ["usage.waiting", "usage.written"]


async def test_the_loop_outlives_an_outage(flaky, store, make):
    clock = FakeClock()
    usage = writer(flaky, clock, flush_seconds=1)
    loop = asyncio.create_task(usage.run())
    await clock.advance(0)
    flaky.away = True
    usage.record(make.usage())
    await clock.advance(1)
    flaky.away = False
    await clock.advance(1)

    async def written():
        return await count(store) == 1

    await eventually(written)
    loop.cancel()
    await asyncio.wait([loop])


async def test_beyond_the_bound_the_oldest_are_dropped_and_counted(flaky, store, make):
    usage = writer(flaky, buffer_records=10)
    flaky.away = True
    records = [make.usage() for _ in range(25)]
    with capture_logs() as logs:
        for record in records[:12]:
            usage.record(record)
        assert not await usage.flush()
        for record in records[12:]:
            usage.record(record)
        assert (usage.waiting, usage.dropped) == (10, 15)
        flaky.away = False
        assert await usage.flush()
    assert [(line["records"], line["in_all"]) for line in logs if line["event"] == "usage.dropped"] == [
        (2, 2),
        (13, 15),
    ]
    async with store.read() as tx:
        ids = (await tx.usage._session.execute(select(table.c.id).order_by(table.c.id))).scalars().all()
    assert ids == [record.id for record in records[15:]]


async def test_what_was_committed_without_an_answer_counts_once(flaky, store, make):
    usage = writer(flaky)
    usage.record(make.usage())
    flaky.fails_after_commit = True
    assert not await usage.flush()
    assert usage.waiting == 1
    flaky.fails_after_commit = False
    assert await usage.flush()
    assert await count(store) == 1


async def test_a_record_no_database_can_hold_does_not_keep_the_others(flaky, store, make):
    usage = writer(flaky)
    for number in range(10):
        usage.record(make.usage(model_name="a\ud800" if number in (3, 4) else "fine"))
    with capture_logs() as logs:
        assert await usage.flush()
    assert (await count(store), usage.waiting, usage.dropped) == (8, 0, 2)
    assert [line["event"] for line in logs].count("usage.not_storable") == 2


async def test_a_flush_that_is_cancelled_loses_nothing(flaky, store, make):
    usage = writer(flaky)
    for turns in range(40):
        usage.record(make.usage())
        flush = asyncio.create_task(usage.flush())
        for _ in range(turns):
            await asyncio.sleep(0)
        flush.cancel()
        await asyncio.wait([flush])
    assert await usage.flush()
    assert (await count(store), usage.waiting) == (40, 0)


async def test_two_flushes_at_once_write_each_record_once(flaky, store, make):
    usage = writer(flaky)
    for _ in range(1500):
        usage.record(make.usage())
    assert await asyncio.gather(usage.flush(), usage.flush()) == [True, True]
    assert (await count(store), flaky.transactions) == (1500, 2)


async def test_each_call_has_one_log_line_also_while_the_database_is_away(flaky, make):
    usage = writer(flaky, log_calls=True)
    flaky.away = True
    with capture_logs() as logs:
        usage.record(make.usage(request_id="first", first_byte_seconds=0.0123456, total_seconds=1.5))
        assert logs == []
        await usage.flush()
        usage.record(make.usage(request_id="second", first_byte_seconds=None))
        flaky.away = False
        await usage.flush()
    lines = [line for line in logs if line["event"] == "call"]
    assert [line["request_id"] for line in lines] == ["first", "second"]
    assert (lines[0]["first_byte_ms"], lines[0]["total_ms"], lines[1]["first_byte_ms"]) == (12.35, 1500.0, None)
    assert (lines[0]["verb"], lines[0]["outcome"], lines[0]["prompt_tokens"]) == ("embedding", "ok", 1)


async def test_no_log_lines_where_none_are_wanted(flaky, make):
    usage = writer(flaky)
    usage.record(make.usage())
    with capture_logs() as logs:
        await usage.flush()
    assert logs == []


# The journal


@pytest.fixture
def journals(tmp_path):
    return tmp_path / "usage"


def files(directory):
    return {path.name: path.stat().st_size for path in directory.iterdir()}


def killed(journal):
    """As the kernel does it: files are closed, nothing else happens."""
    for file in journal._files:
        os.close(file)


async def test_what_was_not_written_is_written_at_the_next_start_and_once(store, make, journals):
    journal = Journal(journals, 100)
    dying = writer(store, journal=journal)
    for _ in range(3):
        dying.record(make.usage())
    await dying.flush()
    late = [make.usage() for _ in range(2)]
    for record in late:
        dying.record(record)
    async with store.begin() as tx:
        await tx.usage.add(late[:1])  # it was killed between the commit and clearing its file
    killed(journal)
    assert await writer(store).recover(journals) == 2
    assert await count(store) == 5
    assert files(journals) == {}
    assert await writer(store).recover(journals) == 0


async def test_files_are_emptied_once_their_records_are_in_the_database(flaky, store, make, journals):
    journal = Journal(journals, 100)
    usage = writer(flaky, journal=journal)
    flaky.away = True
    usage.record(make.usage())
    assert not await usage.flush()
    usage.record(make.usage())
    assert not await usage.flush()
    assert sum(files(journals).values()) > 0
    flaky.away = False
    assert await usage.flush()
    assert await usage.flush()
    assert set(files(journals).values()) == {0}
    journal.close()
    assert files(journals) == {}
    assert await count(store) == 2


async def test_a_second_flush_empties_no_file_of_what_the_first_is_writing(flaky, make, journals):
    usage = writer(flaky, journal=Journal(journals, 100))
    usage.record(make.usage())
    flaky.open.clear()
    first = asyncio.create_task(usage.flush())
    while not usage._in_hand:
        await asyncio.sleep(0)
    second = asyncio.create_task(usage.flush())
    for _ in range(50):
        await asyncio.sleep(0)
    assert sum(files(journals).values()) > 0
    flaky.open.set()
    assert await asyncio.gather(first, second) == [True, True]
    assert set(files(journals).values()) == {0}


async def test_a_record_that_comes_while_others_are_written_stays_in_its_file(store, make, journals):
    journal = Journal(journals, 100)
    usage = writer(store, journal=journal)
    usage.record(make.usage())
    flushing = asyncio.create_task(usage.flush())
    while not usage._in_hand:
        await asyncio.sleep(0)
    usage.record(make.usage())
    await flushing
    killed(journal)
    with left_behind(journals) as records:
        assert len(records) == 1


async def test_the_files_of_a_server_that_lives_are_let_alone(store, make, journals):
    journal = Journal(journals, 100)
    journal.append(make.usage())
    with left_behind(journals) as records:
        assert records == []
    assert sum(files(journals).values()) > 0
    journal.close()
    with left_behind(journals) as records:
        assert len(records) == 1


async def test_a_torn_line_costs_nothing_else(make, journals):
    journal = Journal(journals, 100)
    journal.append(make.usage())
    os.write(journal._files[0], b'{"id": "x", "star')
    killed(journal)
    with left_behind(journals) as records:
        assert len(records) == 1


async def test_a_disk_that_takes_half_a_line_costs_that_line_alone(make, journals, monkeypatch):
    journal = Journal(journals, 100)
    journal.append(make.usage())
    whole = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda file, line: whole(file, line[:20]))
        journal.append(make.usage())
    assert journal.missed == 1
    journal.append(make.usage())  # there is room again
    killed(journal)
    with left_behind(journals) as records:
        assert len(records) == 2


async def test_a_file_that_another_start_took_for_a_dead_server_s_is_made_again(make, journals, monkeypatch):
    lock, stolen = fcntl.flock, []

    def late(file, how):
        if not stolen:  # the other one looks between the making of the file and its lock
            stolen.append(file)
            with monkeypatch.context() as other:
                other.setattr(fcntl, "flock", lock)
                with left_behind(journals) as records:
                    assert records == []
        lock(file, how)

    with monkeypatch.context() as racing:
        racing.setattr(fcntl, "flock", late)
        journal = Journal(journals, 100)
    journal.append(make.usage())
    assert len(files(journals)) == 2
    killed(journal)
    with left_behind(journals) as records:
        assert len(records) == 1


async def test_it_does_not_grow_for_ever_nor_fail_a_call(make, journals):
    journal = Journal(journals, 2)
    for _ in range(5):
        journal.append(make.usage())
    assert journal.missed == 3
    assert len(b"".join(path.read_bytes() for path in journals.iterdir()).splitlines()) == 2
    os.close(journal._files[0])
    journal._lines[0] = 0
    with capture_logs() as logs:
        for _ in range(2):
            journal.append(make.usage())  # nothing is raised
    assert journal.missed == 5
    assert [line["event"] for line in logs] == ["usage.not_journaled"], "once is enough"


async def test_how_long_records_wait_at_most_is_known(flaky, make, journals):
    clock = FakeClock()
    usage = writer(flaky, clock, journal=Journal(journals, 1))
    await clock.advance(60)
    assert usage.lag_seconds == 0
    assert await usage.flush()
    usage.record(make.usage())
    await clock.advance(5)
    assert usage.lag_seconds == 5
    flaky.away = True
    assert not await usage.flush()
    usage.record(make.usage())
    usage.record(make.usage())
    await clock.advance(2)
    assert (usage.lag_seconds, usage.unjournaled) == (7, 1)
    flaky.away = False
    assert await usage.flush()
    assert usage.lag_seconds == 0
