"""Lists of models: one page of 100 out of 100 000, from the store alone, by page number, order and filter.

python benchmarks/lists.py                              # SQLite, in a temporary folder
python benchmarks/lists.py postgresql://user@host/name  # an empty database of that server
"""

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import insert, text

from modelyard.domain.accounts import Account, IdentityType
from modelyard.domain.models import Model
from modelyard.domain.templates import ModelType
from modelyard.store import PageQuery, Store, rows, tables
from report import machine, middle, spread, table

MODELS, LIMIT, RUNS = 100_000, 100, 15
OWN, PLATFORM = "account-own", "account-platform"
BOTH = (OWN, PLATFORM)
START = datetime(2026, 1, 1, tzinfo=UTC)


def _query(accounts: tuple[str, ...] = BOTH, page: int = 1, **more: object) -> PageQuery:
    return PageQuery(accounts, page, LIMIT, **more)  # type: ignore[arg-type]


QUERIES = {
    **{f"newest first, page {page}": _query(page=page) for page in (1, 2, 100, 250, 500, 501, 750, 1000)},
    "newest first, one account, page 1": _query((OWN,)),
    "newest first, one account, page 475": _query((OWN,), 475),
    "oldest first, page 1": _query(sort=(("created_at", False),)),
    "of one type, page 1": _query(where={"model_type": "AGENT"}),
    "by name, page 1": _query(sort=(("name", False),)),
    "by name, page 500": _query(page=500, sort=(("name", False),)),
    "by display name, page 1": _query(sort=(("display_name", True),)),
    "by number of deployments, page 1": _query(sort=(("deployment_count", True),)),
}


async def fill(store: Store) -> None:
    """One account with 95 of 100 models, and the platform's with the rest, made in a random order."""
    chance = random.Random(1)
    async with store.begin() as tx:
        for account in BOTH:
            await tx.accounts.add_account(Account(account, account, START))
        models = [_model(number, chance) for number in range(MODELS)]
        # Past the nouns, which add one by one.
        for start in range(0, MODELS, 1000):
            part = models[start : start + 1000]
            await tx.models._session.execute(insert(tables.models), [rows.model_values(model) for model in part])


def _model(number: int, chance: random.Random) -> Model:
    return Model(
        id=str(UUID(int=chance.getrandbits(128))),
        account_id=OWN if number % 20 else PLATFORM,
        created_at=START + timedelta(microseconds=chance.randrange(10**12)),
        created_by_user_id="user",
        created_by_identity_type=IdentityType.USER,
        name=f"model {number:06d}",
        display_name=f"Model {chance.randrange(10**6)}",
        description="What it is good for. " * 15,
        model_type=chance.choice(list(ModelType)),
        base_model_metadata={"modelDetails": {"token_context_window": 2048}},
    )


async def settle(store: Store) -> None:
    """What PostgreSQL does by itself some time after so many inserts."""
    if store._engine.dialect.name == "postgresql":
        async with store._engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(text("VACUUM ANALYZE"))


async def seconds_of(store: Store, query: PageQuery) -> Sequence[float]:
    """What one page takes, over and over; the first time does not count."""
    taken = []
    for _ in range(RUNS + 1):
        begun = time.perf_counter()
        async with store.read() as tx:
            page = await tx.models.page(query)
        taken.append(time.perf_counter() - begun)
        assert len(page.items) == LIMIT
    return taken[1:]


async def measure(url: str) -> None:
    store = await Store.open(url)
    try:
        await store.migrate()
        await fill(store)
        await settle(store)
        lines = []
        for name, query in QUERIES.items():
            milliseconds = [1000 * one for one in await seconds_of(store, query)]
            lines.append([name, f"{middle(milliseconds):.1f}", spread(milliseconds)])
    finally:
        await store.aclose()
    print(f"{LIMIT} of {MODELS:,} models, {url.partition(':')[0]}; {machine()}\n")
    print(table(["list", "ms, median", f"of {RUNS}"], lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", help="an empty database; a temporary SQLite file if not given")
    url = parser.parse_args().url
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(url or f"sqlite:///{folder}/lists.db"))


if __name__ == "__main__":
    main()
