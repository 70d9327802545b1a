"""What accounts keep of their calls' content: their settings, and what is kept."""

import zlib
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, select

from modelyard.domain.call_logs import CallLogSettings, Keeps, KeptBody, KeptCall
from modelyard.store.session import Session
from modelyard.store.tables_of_call_log import call_bodies as table
from modelyard.store.tables_of_call_log import call_log_settings as settings_table

_SHORT = 256
"""Texts of so many bytes lose little by being compressed."""
_LEAST_WINDOW = 12


def packed(call: KeptCall) -> dict[str, Any]:
    """A call's row. Compresses, which takes its time: for a thread."""
    return {
        "id": call.record_id,
        "account_id": call.account_id,
        "started_at": call.started_at,
        "path": call.path,
        "request": _compressed(call.request),
        "request_truncated": call.request.truncated,
        "answer": _compressed(call.answer),
        "answer_truncated": call.answer.truncated,
    }


class CallBodies:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def all_settings(self) -> list[CallLogSettings]:
        """Of every account that ever set any."""
        return [_settings(row) for row in await self._session.execute(select(settings_table))]

    async def settings(self, account_id: str) -> CallLogSettings:
        row = await self._session.one(select(settings_table).where(settings_table.c.id == account_id))
        return CallLogSettings(account_id) if row is None else _settings(row)

    async def set(self, settings: CallLogSettings) -> None:
        """Gateways follow as they follow routes."""
        values = {**asdict(settings), "id": settings.account_id, "bodies": settings.bodies.value}
        values["redact"] = list(settings.redact)
        await self._session.upsert(settings_table, values, "Its call log's settings are there already.")
        self._session.routes_changed()

    async def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """``rows`` made by `packed`; those that are there already stay as they are."""
        statement = self._session.inserting(table).on_conflict_do_nothing()
        await self._session.execute(statement, list(rows))

    async def get(self, record_id: str, account_id: str) -> KeptCall | None:
        wanted = select(table).where(table.c.id == record_id, table.c.account_id == account_id)
        row = await self._session.one(wanted)
        return None if row is None else _kept(row)

    async def forget_before(self, account_id: str, moment: datetime, most: int) -> int:
        """End what an account kept of calls before ``moment``, the oldest first, at most so many; how many."""
        old = select(table.c.id).where(table.c.account_id == account_id, table.c.started_at < moment)
        old = old.order_by(table.c.started_at, table.c.id).limit(most)
        return int((await self._session.execute(delete(table).where(table.c.id.in_(old)))).rowcount)


def _compressed(body: KeptBody) -> bytes:
    data = body.text.encode(errors="replace")
    if len(data) <= _SHORT:
        return _uncompressed(data)
    # With its usual window zlib takes and clears 268 kB for every text, which is most of the time for most of them.
    window = min(max(len(data).bit_length(), _LEAST_WINDOW), zlib.MAX_WBITS)
    compressor = zlib.compressobj(1, zlib.DEFLATED, window, window - 7)
    return compressor.compress(data) + compressor.flush()


def _uncompressed(data: bytes) -> bytes:
    """At most 65,535 bytes as a zlib stream (RFC 1950) of one block that is stored as it is (RFC 1951, 3.2.4)."""
    size = len(data)
    block = b"\x01" + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little") + data
    return b"\x78\x01" + block + zlib.adler32(data).to_bytes(4, "big")


def _body(data: bytes, truncated: bool) -> KeptBody:
    return KeptBody(zlib.decompress(data).decode(), truncated)


def _kept(row: Row[Any]) -> KeptCall:
    return KeptCall(
        record_id=row.id,
        started_at=row.started_at,
        account_id=row.account_id,
        path=row.path,
        request=_body(row.request, row.request_truncated),
        answer=_body(row.answer, row.answer_truncated),
    )


def _settings(row: Row[Any]) -> CallLogSettings:
    return CallLogSettings(row.account_id, Keeps(row.bodies), row.retention_days, tuple(row.redact), row.max_body_bytes)
