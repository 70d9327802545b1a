"""The tables of what accounts keep of their calls' content; part of `modelyard.store.tables`."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table

from modelyard.store.columns import Instant, Json, Name
from modelyard.store.tables import metadata

call_log_settings = Table(
    "call_log_settings",
    metadata,
    # the account's id, twice: as what it is called, and as whose it is
    Column("id", Name, primary_key=True),
    Column("account_id", Name, ForeignKey("accounts.id"), nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("bodies", Name, nullable=False),
    Column("retention_days", Integer, nullable=False),
    Column("redact", Json, nullable=False),
    Column("max_body_bytes", Integer, nullable=False),
)

call_bodies = Table(
    "call_bodies",
    metadata,
    # the usage record's id; texts are UTF-8, compressed by zlib
    Column("id", Name, primary_key=True),
    Column("account_id", Name, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("path", Name, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("request_truncated", Boolean, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("answer_truncated", Boolean, nullable=False),
    Index("ix_call_bodies_account", "account_id", "started_at", "id"),
)
