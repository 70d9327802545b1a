"""Bodies of calls: what is kept, what is dropped and counted, and what ends when."""

import asyncio
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from msgspec import structs
from prometheus_client import REGISTRY

from modelyard.control import retention
from modelyard.control.call_log.bodies import BodyKeeper
from modelyard.control.people.bootstrap import ACCOUNT_ID
from modelyard.control.retention import Retention
from modelyard.control.routes import Routes
from modelyard.domain.accounts import Account
from modelyard.domain.call_logs import CallLogSettings, Captured, Keeps, KeptBody, KeptCall
from modelyard.domain.usage import Outcome
from modelyard.errors import Unavailable
from modelyard.store import Store
from modelyard.store.call_bodies import packed
from modelyard.store.call_logs import CallQuery
from modelyard.testing.clock import FakeClock
from modelyard.testing.usage import make_usage

ALL = CallLogSettings(ACCOUNT_ID, Keeps.ALL, redact=("secret",))
NO_ROUTES = cast("Routes", None)


def captured(settings: CallLogSettings = ALL, **changes: Any) -> Captured:
    record = make_usage(account_id=ACCOUNT_ID, **changes)
    answer = (b'data: {"text": "sec"}\n\n', b'data: {"text": "ret"}')
    return Captured(record, "/v1/x", b'{"a": "secret"}', answer, False, settings)


def dropped() -> float:
    return REGISTRY.get_sample_value("modelyard_call_bodies_dropped_total") or 0


@pytest.fixture
def keeper(store: Store, clock: FakeClock) -> BodyKeeper:
    return BodyKeeper(store, NO_ROUTES, clock, 10_000)


async def test_kept_redacted_and_found_again(store: Store, keeper: BodyKeeper) -> None:
    call = captured()
    keeper.keep(call)
    await keeper.flush()
    await keeper.flush()
    async with store.read() as tx:
        kept = await tx.call_bodies.get(call.record.id, ACCOUNT_ID)
        assert await tx.call_bodies.get(call.record.id, "another") is None
    assert kept is not None
    assert (kept.request.text, kept.answer.text) == ('{"a":"[redacted]"}', '{"text":"[redacted]"}')
    assert (kept.path, kept.started_at) == ("/v1/x", call.record.started_at)


@pytest.mark.parametrize("cut", [False, True])
async def test_answers_that_are_no_streams_are_redacted_too(store: Store, keeper: BodyKeeper, cut: bool) -> None:
    call = structs.replace(captured(), answer=(b'{"b": "sec', b'ret"}'), cut=cut)
    keeper.keep(call)
    await keeper.flush()
    async with store.read() as tx:
        kept = await tx.call_bodies.get(call.record.id, ACCOUNT_ID)
    assert kept is not None
    assert ("[redacted]" in kept.answer.text, "secret" in kept.answer.text, kept.answer.truncated) == (True, False, cut)


async def test_calls_are_gathered_and_written_together(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, batches = BodyKeeper(store, NO_ROUTES, clock, 10_000), []

    async def write(batch: Sequence[Captured]) -> None:
        batches.append(len(batch))

    monkeypatch.setattr(keeper, "_write", write)
    running = asyncio.create_task(keeper.run())
    keeper.keep(captured())
    await clock.advance(0)
    assert not batches
    keeper.keep(captured())
    keeper.keep(captured())
    await clock.advance(1)
    assert batches == [3]
    keeper.keep(captured())
    await clock.advance(0)
    await clock.advance(1)
    assert batches == [3, 1]
    running.cancel()


@pytest.mark.parametrize("size", [0, 1, 256, 257, 5_000, 200_000])
def test_texts_of_any_length_are_packed_as_zlib_streams(size: int) -> None:
    text = ("héllo, " * size)[:size]
    call = KeptCall("id", datetime(2026, 1, 1, tzinfo=UTC), "account", "/x", KeptBody(text), KeptBody(text[::-1]))
    row = packed(call)
    assert zlib.decompress(row["request"]).decode() == text
    assert zlib.decompress(row["answer"]).decode() == text[::-1]
    if size > 256:
        assert len(row["request"]) < size / 2


async def test_of_errors_alone(store: Store, keeper: BodyKeeper) -> None:
    errors = CallLogSettings(ACCOUNT_ID, Keeps.ERRORS)
    fine, bad = captured(errors), captured(errors, outcome=Outcome.ERROR)
    keeper.keep(fine)
    keeper.keep(bad)
    await keeper.last()
    async with store.read() as tx:
        assert await tx.call_bodies.get(fine.record.id, ACCOUNT_ID) is None
        assert await tx.call_bodies.get(bad.record.id, ACCOUNT_ID) is not None


async def test_what_does_not_fit_is_dropped_and_counted(store: Store, clock: FakeClock) -> None:
    call = captured()
    keeper = BodyKeeper(store, NO_ROUTES, clock, call.size)
    before = dropped()
    for _ in range(3):
        keeper.keep(captured())
    assert dropped() == before + 2
    await keeper.flush()
    keeper.keep(call)
    assert dropped() == before + 2, "there is room again"


async def test_a_database_that_is_away_at_the_end_costs_what_waits(clock: FakeClock) -> None:
    class Away:
        def begin(self) -> None:
            raise Unavailable("gone")

    keeper = BodyKeeper(cast("Store", Away()), NO_ROUTES, clock, 10_000)
    keeper.keep(captured())
    before = dropped()
    await keeper.last()
    assert dropped() == before + 1


async def test_what_cannot_be_written_at_the_end_is_counted_and_ends_nothing_else(clock: FakeClock) -> None:
    class Broken:
        def begin(self) -> None:
            raise ValueError("nobody foresaw this")

    keeper = BodyKeeper(cast("Store", Broken()), NO_ROUTES, clock, 10_000)
    keeper.keep(captured())
    before = dropped()
    await keeper.last()
    assert dropped() == before + 1


async def test_what_waits_for_a_database_that_is_away_is_kept_once_it_is_back(
    store: Store, keeper: BodyKeeper, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, tried = store.begin, asyncio.Event()

    def away() -> Any:
        tried.set()
        raise Unavailable("gone")

    monkeypatch.setattr(store, "begin", away)
    call, before = captured(), dropped()
    keeper.keep(call)
    writing = asyncio.create_task(keeper.flush())
    await tried.wait()
    monkeypatch.setattr(store, "begin", begin)
    async with asyncio.timeout(60):
        while not writing.done():
            await clock.advance(1)
            await asyncio.sleep(0.01)
    async with store.read() as tx:
        assert await tx.call_bodies.get(call.record.id, ACCOUNT_ID) is not None
    assert dropped() == before


async def test_what_cannot_be_written_is_dropped_and_counted_and_leaves_room(clock: FakeClock) -> None:
    class Broken:
        def begin(self) -> None:
            raise ValueError("nobody foresaw this")

    call, before = captured(), dropped()
    keeper = BodyKeeper(cast("Store", Broken()), NO_ROUTES, clock, call.size)
    for tries in (1, 2):
        keeper.keep(call)
        await keeper.flush()
        assert dropped() == before + tries


async def test_accounts_that_want_it_are_known(store: Store, keeper: BodyKeeper, clock: FakeClock) -> None:
    async with store.begin() as tx:
        await tx.accounts.add_account(Account(ACCOUNT_ID, "one", clock.now()))
        await tx.call_bodies.set(ALL)
    assert keeper.wanted(ACCOUNT_ID) is None
    await keeper.refresh()
    assert keeper.wanted(ACCOUNT_ID) == ALL
    async with store.begin() as tx:
        await tx.call_bodies.set(CallLogSettings(ACCOUNT_ID))
    await keeper.refresh()
    assert keeper.wanted(ACCOUNT_ID) is None


async def test_content_and_records_end_in_their_own_time(store: Store, keeper: BodyKeeper, clock: FakeClock) -> None:
    now = clock.now()
    ages = {days: captured(started_at=now - timedelta(days=days)) for days in (1, 20, 40, 100)}
    for call in ages.values():
        keeper.keep(call)
    await keeper.flush()
    async with store.begin() as tx:
        await tx.accounts.add_account(Account(ACCOUNT_ID, "one", now))
        await tx.call_bodies.set(CallLogSettings(ACCOUNT_ID, retention_days=30))
        await tx.usage.add([call.record for call in ages.values()])

    async def left() -> tuple[list[int], int]:
        async with store.read() as tx:
            bodies = [d for d, c in ages.items() if await tx.call_bodies.get(c.record.id, ACCOUNT_ID) is not None]
            rows = await tx.usage.sums([now - timedelta(days=200)], now + timedelta(days=1))
            return bodies, sum(prompt for _, prompt, _ in rows)

    await Retention(store, clock, None).sweep()
    assert await left() == ([1, 20], 4)
    await Retention(store, clock, 10).sweep()
    assert (await left())[0] == [1, 20]
    async with store.read() as tx:
        assert (await tx.call_logs.page(CallQuery([ACCOUNT_ID]))).items == [ages[1].record]


async def test_what_is_old_ends_once_an_hour_all_of_it_and_of_that_account_alone(
    store: Store, keeper: BodyKeeper, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    now = clock.now()
    another = CallLogSettings("another", Keeps.ALL, retention_days=60)
    old = [captured(started_at=now - timedelta(days=40, seconds=number)) for number in range(5)]
    kept = captured(another, started_at=now - timedelta(days=40))
    kept = structs.replace(kept, record=structs.replace(kept.record, account_id="another"))
    for call in (*old, kept):
        keeper.keep(call)
    await keeper.flush()
    async with store.begin() as tx:
        for settings in (ALL, another):
            await tx.accounts.add_account(Account(settings.account_id, settings.account_id, now))
            await tx.call_bodies.set(settings)

    async def left() -> int:
        async with store.read() as tx:
            found = [await tx.call_bodies.get(call.record.id, ACCOUNT_ID) for call in old]
            assert await tx.call_bodies.get(kept.record.id, "another") is not None
        return len(found) - found.count(None)

    assert await left() == 5
    sweeping = asyncio.create_task(Retention(store, clock, None).run())
    async with asyncio.timeout(60):
        while await left():
            await clock.advance(1)
        late = captured(started_at=now - timedelta(days=50))
        old.append(late)
        keeper.keep(late)
        await keeper.flush()
        while await left():
            await clock.advance(600)
    sweeping.cancel()
