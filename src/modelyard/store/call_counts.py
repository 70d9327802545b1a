"""How many calls there are, without reading them all: from what usage adds up to, as far as that tells them apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, ColumnElement, Table, func, select, type_coerce, update

from modelyard.domain.intervals import DAY, HOUR, RECORDS, Piece, pieces
from modelyard.domain.rollups import DIMENSIONS
from modelyard.store.session import Session
from modelyard.store.tables import counters
from modelyard.store.tables_of_usage import USAGE_WHOLE_SINCE, usage, usage_days, usage_hours

BEGINNING, END = -719_162 * DAY, 2_932_897 * DAY
"""Of the years 1 and 10000, in microseconds since 1970: no database could give back what is not between."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Calls of ``accounts`` that are equal in columns, and began in ``[low, high)``, in microseconds since 1970."""

    accounts: Sequence[str]
    where: Mapping[str, str]
    low: int = BEGINNING
    high: int = END

    def of(self, table: Table) -> list[ColumnElement[bool]]:
        accounts = tuple(dict.fromkeys(self.accounts))
        account: ColumnElement[str] = table.c.account_id
        if "request_id" in self.where:
            # That leads to a call or two; SQLite would walk the whole account instead if it could.
            account = account + ""
        paid = account == accounts[0] if len(accounts) == 1 else account.in_(accounts)
        return [paid, *(table.c[name] == value for name, value in self.where.items())]


async def count(session: Session, asked: Asked) -> int:
    """Exactly how many records are there."""
    # The vendor of our own workers' calls is empty in sums, and nothing in the records.
    told_apart = asked.where.keys() <= set(DIMENSIONS) and all(asked.where.values())
    whole = max(asked.low, await _whole_since(session)) if told_apart else asked.high
    # Before that records have ended that are still in the sums.
    parts = [Piece(RECORDS, asked.low, min(whole, asked.high)), *pieces(whole, asked.high, (DAY, HOUR, RECORDS))]
    return sum([await _calls(session, asked, part) for part in parts if part.low < part.high])


async def records_end_before(session: Session, moment: int) -> None:
    """From now on what began earlier may be in the sums alone."""
    later = update(counters).where(counters.c.name == USAGE_WHOLE_SINCE, counters.c.value < moment)
    await session.execute(later.values(value=moment))


async def _whole_since(session: Session) -> int:
    found = await session.execute(select(counters.c.value).where(counters.c.name == USAGE_WHOLE_SINCE))
    return int(found.scalar_one())


async def _calls(session: Session, asked: Asked, part: Piece) -> int:
    table, moment, calls = {
        DAY: (usage_days, usage_days.c.day, func.sum(usage_days.c.calls)),
        HOUR: (usage_hours, usage_hours.c.hour, func.sum(usage_hours.c.calls)),
        RECORDS: (usage, usage.c.started_at, func.count()),
    }[part.unit]
    at: ColumnElement[int] = type_coerce(moment, BigInteger)
    statement = select(calls).select_from(table).where(at >= part.low, at < part.high, *asked.of(table))
    return int((await session.execute(statement)).scalar_one() or 0)
