"""What goes wrong in a database, in words that its users know."""

import asyncio
import contextlib
import sqlite3
import threading

import asyncpg
import pytest
from sqlalchemy import event

from modelyard.domain.deployments import Target
from modelyard.errors import ConfigurationError, InvalidRequest, ModelyardError, Unavailable
from modelyard.store import PageQuery, Store
from modelyard.store.engine import open_engine

only_postgresql = pytest.mark.parametrize("kind", ["postgresql"])


async def use(store):
    async with store.read() as tx:
        return await tx.deployments.routes_version()


@pytest.mark.parametrize("kind", ["sqlite"])
async def test_a_start_waits_for_a_file_that_others_keep_to_themselves(url, tmp_path, monkeypatch):
    monkeypatch.setattr("modelyard.store.engine.BUSY_SECONDS", 0.1)
    monkeypatch.setattr("modelyard.store.store._AGAIN_SECONDS", 0.01)
    tries = []
    monkeypatch.setattr("modelyard.store.store.open_engine", lambda *args, **more: _counted(tries, *args, **more))
    store = await Store.open(url)
    with contextlib.closing(sqlite3.connect(tmp_path / "test.db", isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode=EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr("modelyard.store.store.PATIENCE_SECONDS", 0)
        with pytest.raises(Unavailable, match="locked"):
            await store.migrate()
        monkeypatch.setattr("modelyard.store.store.PATIENCE_SECONDS", 60)
        tries.clear()
        migrating = asyncio.create_task(store.migrate())
        while len(tries) < 3:
            assert not migrating.done()
            await asyncio.sleep(0.01)
        holder.execute("ROLLBACK")
    await migrating
    await store.aclose()


def _counted(tries, *args, **more):
    engine = open_engine(*args, **more)
    event.listen(engine.sync_engine, "do_connect", lambda *_: tries.append(1))
    return engine


async def write(store):
    async with store.begin() as tx:
        tx.deployments._session.routes_changed()


@pytest.mark.parametrize("what", [use, write, Store.migrate, Store.schema_revision])
async def test_a_server_that_is_not_there(what):
    store = await Store.open("postgresql://somebody:secret@127.0.0.1:1/nothing")
    with pytest.raises(Unavailable) as away:
        await what(store)
    assert away.value.code == "database_unavailable"
    assert away.value.retry_after > 0
    assert "secret" not in str(away.value)
    await store.aclose()


@pytest.mark.parametrize("change", ["database", "user"])
async def test_a_server_that_refuses(postgres, change):
    uri = postgres.url("nothing_of_this_name" if change == "database" else "postgres")
    if change == "user":
        uri = uri.replace("postgres:", "nobody_of_this_name:", 1).replace(
            "postgresql://postgres", "postgresql://nobody"
        )
    store = await Store.open(uri)
    with pytest.raises(Unavailable) as away:
        await store.migrate()
    # Whoever starts the server learns why.
    assert "does not exist" in str(away.value)
    with pytest.raises(Unavailable) as away:
        await use(store)
    assert "does not exist" not in str(away.value)
    await store.aclose()


async def cut_connections(url):
    """As when the server is restarted: every other connection to the database is gone."""
    connection = await asyncpg.connect(url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    await connection.close()


@only_postgresql
async def test_a_server_that_goes_away_and_comes_back(store, url, make, accounts):
    before = await use(store)

    async def go_on_without_it():
        async with store.begin() as tx:
            await tx.models.add(make.model())
            await cut_connections(url)
            with pytest.raises(Unavailable) as away:
                await tx.models.page(PageQuery(accounts))
            assert away.value.code == "database_unavailable"
            with pytest.raises(Unavailable):
                await tx.models.add(make.model())

    # What was lost is not taken for written, even if the body did not mind.
    with pytest.raises(Unavailable):
        await go_on_without_it()
    # Nobody has to do anything about the connections that were lost.
    await write(store)
    assert await use(store) == before + 1
    async with store.read() as tx:
        assert (await tx.models.page(PageQuery(accounts))).total == 0


@only_postgresql
async def test_a_connection_that_is_lost_before_the_commit(store, url):
    async def lose():
        async with store.begin() as tx:
            await tx.deployments.routes_version()
            await cut_connections(url)

    with pytest.raises(Unavailable):
        await lose()
    await write(store)


async def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "test.db"
    path.write_bytes(b"something else " * 1000)
    store = await Store.open(f"sqlite:///{path}")
    before = set(threading.enumerate())
    for _ in range(3):
        with pytest.raises(ModelyardError, match="not a database"):
            await store.migrate()
    await store.aclose()
    # Every connection has a thread; those that came to nothing end too. The event loop's own pool may grow meanwhile.
    left = [each for each in threading.enumerate() if each not in before and not each.name.startswith("asyncio_")]
    for thread in left:
        thread.join(5)
    assert not [thread for thread in left if thread.is_alive()]


async def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="MODELYARD_DATA_DIR"):
        await Store.open(f"sqlite:///{tmp_path}/file/test.db")
    store = await Store.open(f"sqlite:///{tmp_path}")
    with pytest.raises(ModelyardError):
        await store.migrate()
    await store.aclose()


SURROGATE, NUL = "a\ud800b", "a\x00b"


@pytest.mark.parametrize(("kind", "word"), [("sqlite", SURROGATE), ("postgresql", SURROGATE), ("postgresql", NUL)])
async def test_text_that_cannot_be_held_is_an_invalid_request(store, make, accounts, kind, word):
    calls = [
        lambda tx: tx.models.get(word, accounts),
        lambda tx: tx.models.get("id", (word,)),
        lambda tx: tx.models.page(PageQuery(accounts, where={"name": word})),
        lambda tx: tx.models.add(make.model(name=word)),
        lambda tx: tx.models.upsert(make.model(description=word)),
        lambda tx: tx.accounts.key_by_digest(word),
        lambda tx: tx.usage.add([make.usage(model_name=word)]),
        lambda tx: tx.idempotency.find(word, word, make.model().created_at),
    ]
    for call in calls:
        async with store.begin() as tx:
            with pytest.raises(InvalidRequest) as invalid:
                await call(tx)
        assert invalid.value.code == "value_not_storable"
    # Nested in JSON it is escaped, which both hold where UTF-8 can.
    if "\x00" in word:
        model = make.model(base_model_metadata={"a": word})
        async with store.begin() as tx:
            await tx.models.add(model)
            assert await tx.models.get(model.id, None) == model
    await use(store)


async def test_a_surrogate_inside_json_is_an_invalid_request(store, make):
    async with store.begin() as tx:
        with pytest.raises(InvalidRequest):
            await tx.models.add(make.model(base_model_metadata={"a": ["\udc00"]}))


@pytest.mark.parametrize(("kind", "number"), [("postgresql", 2**31), ("postgresql", 2**63), ("sqlite", 2**63)])
async def test_numbers_that_cannot_be_held_are_invalid_requests(store, make, number):
    model = make.model()
    async with store.begin() as tx:
        await tx.models.add(model)
    async with store.begin() as tx:
        with pytest.raises(InvalidRequest):
            await tx.deployments.add(make.deployment(model, target=Target(0, number, 1, "first")))
    await use(store)


class Boom(Exception):
    pass


@pytest.mark.parametrize("error", [OSError, TimeoutError, UnicodeError, ConnectionRefusedError, Boom, KeyError])
@pytest.mark.parametrize("way", ["begin", "read"])
async def test_what_the_body_raises_is_left_alone(store, make, error, way):
    model = make.model()

    async def body():
        async with getattr(store, way)() as tx:
            if way == "begin":
                await tx.models.add(model)
            raise error("the body's own")

    with pytest.raises(error, match="the body's own"):
        await body()
    async with store.read() as tx:
        assert (await tx.models.get_many([model.id])) == {}


@only_postgresql
async def test_reading_cannot_write_on_postgresql(store, make):
    async with store.read() as tx:
        with pytest.raises(Exception, match="read-only"):
            await tx.models.add(make.model())


@only_postgresql
async def test_a_deadlock_is_a_matter_of_trying_again(store, other, make):
    first, second = await make.deployed(store, 2)
    reached = asyncio.Barrier(2)

    async def both(which, order):
        async with which.begin() as tx:
            await tx.deployments.nudge(order[0].id, order[0].created_at)
            await reached.wait()
            await tx.deployments.nudge(order[1].id, order[1].created_at)

    results = await asyncio.gather(both(store, (first, second)), both(other, (second, first)), return_exceptions=True)
    refused = [result for result in results if result is not None]
    assert [error.code for error in refused] == ["database_busy"]


URLS = {
    "": "not a URL",
    "nothing": "nothing",
    "memory": "sqlite://",
    "memory too": "sqlite:///:memory:",
    "host": "sqlite://host/path",
    "another": "mysql://user:secret@host/name",
    "driver": "postgresql+psycopg://user:secret@host/name",
    "options": "postgresql://user:secret@host/name?nonsense=1",
    "port": "postgresql://user:secret@host:port/name",
}


@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
async def test_urls_that_mean_nothing_are_told_without_their_secrets(url):
    with pytest.raises(ConfigurationError) as wrong:
        await Store.open(url)
    assert "secret" not in str(wrong.value)
    assert "MODELYARD_DATABASE_URL" in str(wrong.value)


async def test_postgresql_urls_as_others_write_them(postgres):
    uri = postgres.url("postgres")
    for url in (
        uri.replace("postgresql://", "postgres://"),
        uri.replace("postgresql://", "postgresql+asyncpg://"),
        uri + "&sslmode=disable&application_name=modelyard",
    ):
        store = await Store.open(url)
        assert await store.schema_revision() is None
        await store.aclose()
