"""Usage records, and their sums over slices of time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, BigInteger, ColumnElement, and_, func, literal, select, type_coerce

from modelyard.domain.usage import UsageRecord
from modelyard.store.columns import to_microseconds
from modelyard.store.session import Session
from modelyard.store.tables import usage as table

_FIELDS = (
    "id",
    "started_at",
    "request_id",
    "account_id",
    "key_id",
    "identity_id",
    "deployment_id",
    "model_id",
    "model_name",
    "error_code",
    "prompt_tokens",
    "response_tokens",
    "estimated",
    "first_byte_seconds",
    "total_seconds",
)


def _values(record: UsageRecord) -> dict[str, Any]:
    plain = {name: getattr(record, name) for name in _FIELDS}
    return {**plain, "verb": record.verb.value, "outcome": record.outcome.value}


class Usage:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, records: Sequence[UsageRecord]) -> None:
        """Write records; those whose id is there already are left as they are."""
        if records:
            statement = self._session.inserting(table).on_conflict_do_nothing()
            await self._session.execute(statement, [_values(record) for record in records])

    async def sums(
        self,
        starts: Sequence[datetime],
        end: datetime,
        *,
        deployment_id: str | None = None,
        model_name: str | None = None,
        accounts: Sequence[str] | None = None,
    ) -> list[tuple[int, int, int]]:
        """``(slice index, prompt tokens, response tokens)`` for every slice with calls in it. ``starts`` are equal
        slices as `modelyard.domain.usage.slice_starts` makes them; the last ends before ``end``."""
        slices, index, low, high = _slices(to_microseconds(starts[0]), to_microseconds(end), len(starts))
        at = type_coerce(table.c.started_at, BigInteger)
        conditions: list[ColumnElement[bool]] = [at >= low, at < high]
        if deployment_id is not None:
            conditions.append(table.c.deployment_id == deployment_id)
        if model_name is not None:
            conditions.append(table.c.model_name == model_name)
        if accounts is not None:
            conditions.append(table.c.account_id.in_(accounts))
        statement = (
            select(index, func.sum(table.c.prompt_tokens), func.sum(table.c.response_tokens))
            .join_from(slices, table, and_(*conditions))
            .group_by(index)
            .order_by(index)
        )
        found = await self._session.execute(statement)
        return [(int(position), int(prompt), int(response)) for position, prompt, response in found]


def _slices(start: int, end: int, count: int) -> tuple[CTE, ColumnElement[int], ColumnElement[int], ColumnElement[int]]:
    """A relation of ``count`` rows, made by the database: the slice's index, and its bounds in microseconds.

    Slice i starts at start + (end - start) * i // count. The product could overflow 64 bits, so the length is
    split into quotient and remainder: length * i // count = quotient * i + remainder * i // count.
    """
    quotient, remainder = divmod(end - start, count)
    numbers = select(literal(0, BigInteger).label("position")).cte("slices", recursive=True)
    numbers = numbers.union_all(select(numbers.c.position + 1).where(numbers.c.position + 1 < count))
    index = numbers.c.position

    def bound(position: ColumnElement[int]) -> ColumnElement[int]:
        return (
            literal(start, BigInteger)
            + literal(quotient, BigInteger) * position
            + (literal(remainder, BigInteger) * position).op("/")(literal(count, BigInteger))
        )

    return numbers, index, bound(index), bound(index + 1)
