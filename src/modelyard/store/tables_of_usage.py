"""The tables of what was used; part of `modelyard.store.tables`. Writing them costs every call something: an index more
has to be worth that."""

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, Table, text

from modelyard.domain import rollups
from modelyard.store.columns import Instant, Name
from modelyard.store.tables import metadata

USAGE_WHOLE_SINCE = "usage_whole_since"
"""The counter that says from when on (in microseconds since 1970) every record is still there that was ever written."""

_TOKENS = ("prompt_tokens", "response_tokens")
_ERRORS = text("error_code IS NOT NULL")

usage = Table(
    "usage",
    metadata,
    # the time first: new rows then go to the end of the index that tells whether a record is there already
    Column("started_at", Instant, primary_key=True),
    Column("id", Name, primary_key=True),
    Column("request_id", Name, nullable=False),
    Column("account_id", Name, nullable=False),
    Column("key_id", Name, nullable=False),
    Column("identity_id", Name, nullable=False),
    Column("deployment_id", Name, nullable=False),
    Column("model_id", Name, nullable=False),
    Column("model_name", Name, nullable=False),
    Column("verb", Name, nullable=False),
    Column("outcome", Name, nullable=False),
    Column("error_code", Name),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("response_tokens", BigInteger, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("first_byte_seconds", Float),
    Column("total_seconds", Float, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False, server_default="0"),
    Column("reasoning_tokens", BigInteger, nullable=False, server_default="0"),
    Column("vendor", Name),
    Column("cost_nano", BigInteger),
    # the deployment that answered, where it was a fallback
    Column("served_by", Name),
    # the edges of statistics, without the records themselves; and the call log's
    Index("ix_usage_deployment", "deployment_id", "started_at", "account_id", *_TOKENS),
    # the call log's
    Index("ix_usage_account", "account_id", "started_at", "id"),
    Index("ix_usage_request", "request_id"),
    Index(
        "ix_usage_error", "account_id", "error_code", "started_at", "id", sqlite_where=_ERRORS, postgresql_where=_ERRORS
    ),
)

usage_minutes = Table(
    "usage_minutes",
    metadata,
    # tokens of one minute by what the client's statistics tell apart; on SQLite the table is its key's index
    Column("deployment_id", Name, primary_key=True),
    Column("minute", Instant, primary_key=True),
    Column("model_name", Name, primary_key=True),
    Column("account_id", Name, primary_key=True),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("response_tokens", BigInteger, nullable=False),
    Index("ix_usage_minutes_model", "model_name", "minute", "account_id", *_TOKENS),
    sqlite_with_rowid=False,
)


def _sums(unit: str) -> Table:
    """Calls of one ``unit`` of time that are alike in all of `rollups.DIMENSIONS`, of which the digest is made."""
    name = f"usage_{unit}s"
    return Table(
        name,
        metadata,
        Column(unit, Instant, primary_key=True),
        Column("digest", Name, primary_key=True),
        *(Column(each, Name, nullable=False) for each in rollups.DIMENSIONS),
        *(Column(each, BigInteger, nullable=False) for each in (*rollups.SUMS, *rollups.CLASSES)),
        Index(f"ix_{name}_deployment", "deployment_id", unit, "account_id", *_TOKENS),
        Index(f"ix_{name}_model", "model_name", unit, "account_id", *_TOKENS),
        Index(f"ix_{name}_account", "account_id", unit),
    )


usage_hours = _sums("hour")
usage_days = _sums("day")

worker_spans = Table(
    "worker_spans",
    metadata,
    # when each worker was there, for what its time costs; ended_at is NULL while it is
    Column("worker_id", Name, primary_key=True),
    Column("deployment_id", Name, nullable=False),
    Column("account_id", Name, nullable=False),
    Column("model_id", Name, nullable=False),
    Column("gpus", Integer, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Index("ix_worker_spans_account", "account_id", "started_at"),
)
