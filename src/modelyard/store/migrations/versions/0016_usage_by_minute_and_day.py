"""Usage by the minute and by the day, besides the hour; fewer indexes on the records, which every call pays for."""

import sqlalchemy as sa
from alembic import op

from modelyard.store.columns import Instant, Name

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_MINUTE, _DAY = 60_000_000, 86_400_000_000
_TOKENS = ("prompt_tokens", "response_tokens")
_DIMENSIONS = (
    "account_id", "key_id", "identity_id", "deployment_id", "model_id", "model_name", "vendor", "verb", "outcome",
)  # fmt: skip
_ADDED = (
    "calls", *_TOKENS, "cached_tokens", "reasoning_tokens", "cost_nano", "unpriced", "estimated", "milliseconds",
    *(f"class_{index}" for index in range(20)),
)  # fmt: skip
_MINUTE_KEY = ("deployment_id", "minute", "model_name", "account_id")


def upgrade() -> None:
    for name in ("ix_usage_deployment", "ix_usage_model", "ix_usage_key", "ix_usage_request"):
        op.drop_index(name, table_name="usage")
    op.create_index("ix_usage_request", "usage", ["request_id"])
    errors = sa.text("error_code IS NOT NULL")
    op.create_index(
        "ix_usage_error",
        "usage",
        ["account_id", "error_code", "started_at", "id"],
        sqlite_where=errors,
        postgresql_where=errors,
    )
    _by_minute()
    _by_day()


def _begin(at: sa.ColumnClause[int], unit: int) -> sa.ColumnElement[int]:
    """When the unit began, also before 1970, where a remainder is negative."""
    # Written out, not sent: PostgreSQL groups by expressions that it sees to be the same.
    length: sa.ColumnClause[int] = sa.literal_column(str(unit), sa.BigInteger)
    return at - (at % length + length) % length


def _by_minute() -> None:
    """From the records; of those that ended before, the hours are all that is left."""
    minutes = op.create_table(
        "usage_minutes",
        sa.Column("deployment_id", Name, nullable=False),
        sa.Column("minute", Instant(), nullable=False),
        sa.Column("model_name", Name, nullable=False),
        sa.Column("account_id", Name, nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _TOKENS),
        sa.PrimaryKeyConstraint(*_MINUTE_KEY, name=op.f("pk_usage_minutes")),
        sqlite_with_rowid=False,
    )
    names = ("deployment_id", "model_name", "account_id")
    usage = sa.table("usage", *map(sa.column, ("started_at", *names, *_TOKENS)))
    at = _begin(usage.c.started_at, _MINUTE)
    keys, sums = [usage.c[name] for name in names], [sa.func.sum(usage.c[name]) for name in _TOKENS]
    added = sa.select(at, *keys, *sums).group_by(at, *keys)
    op.execute(minutes.insert().from_select(["minute", *names, *_TOKENS], added))
    op.create_index("ix_usage_minutes_model", "usage_minutes", ["model_name", "minute", "account_id", *_TOKENS])


def _by_day() -> None:
    days = op.create_table(
        "usage_days",
        sa.Column("day", Instant(), nullable=False),
        sa.Column("digest", Name, nullable=False),
        *(sa.Column(name, Name, nullable=False) for name in _DIMENSIONS),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _ADDED),
        sa.PrimaryKeyConstraint("day", "digest", name=op.f("pk_usage_days")),
    )
    names = ("digest", *_DIMENSIONS)
    hours = sa.table("usage_hours", *map(sa.column, ("hour", *names, *_ADDED)))
    at = _begin(hours.c.hour, _DAY)
    keys, sums = [hours.c[name] for name in names], [sa.func.sum(hours.c[name]) for name in _ADDED]
    added = sa.select(at, *keys, *sums).group_by(at, *keys)
    op.execute(days.insert().from_select(["day", *names, *_ADDED], added))
    covered = ["day", "account_id", *_TOKENS]
    op.create_index("ix_usage_days_deployment", "usage_days", ["deployment_id", *covered])
    op.create_index("ix_usage_days_model", "usage_days", ["model_name", *covered])
    op.create_index("ix_usage_days_account", "usage_days", ["account_id", "day"])


def downgrade() -> None:
    op.drop_table("usage_days")
    op.drop_table("usage_minutes")
    op.drop_index("ix_usage_error", table_name="usage")
    op.drop_index("ix_usage_request", table_name="usage")
    covered = ["started_at", "account_id", *_TOKENS]
    op.create_index("ix_usage_deployment", "usage", ["deployment_id", *covered])
    op.create_index("ix_usage_model", "usage", ["model_name", *covered])
    op.create_index("ix_usage_key", "usage", ["account_id", "key_id", "started_at", "id"])
    op.create_index("ix_usage_request", "usage", ["account_id", "request_id"])
