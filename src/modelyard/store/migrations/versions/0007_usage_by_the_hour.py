"""What calls cost, usage by the hour, and how long each worker was there."""

from itertools import pairwise

import sqlalchemy as sa
from alembic import op

from modelyard.domain import rollups
from modelyard.domain.intervals import HOUR, from_microseconds
from modelyard.store.columns import Instant, Name

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_BATCH = 500
_SUMS = (
    "calls", "prompt_tokens", "response_tokens", "cached_tokens", "reasoning_tokens", "cost_nano", "unpriced",
    "estimated", "milliseconds",
)  # fmt: skip
_CLASSES = tuple(f"class_{index}" for index in range(20))
_DIMENSIONS = (
    "account_id", "key_id", "identity_id", "deployment_id", "model_id", "model_name", "vendor", "verb", "outcome",
)  # fmt: skip


def upgrade() -> None:
    with op.batch_alter_table("usage") as usage:
        usage.add_column(sa.Column("cached_tokens", sa.BigInteger(), nullable=False, server_default="0"))
        usage.add_column(sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False, server_default="0"))
        usage.add_column(sa.Column("vendor", Name))
        usage.add_column(sa.Column("cost_nano", sa.BigInteger()))
    hours = op.create_table(
        "usage_hours",
        sa.Column("hour", Instant(), nullable=False),
        sa.Column("digest", Name, nullable=False),
        *(sa.Column(name, Name, nullable=False) for name in _DIMENSIONS),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in (*_SUMS, *_CLASSES)),
        sa.PrimaryKeyConstraint("hour", "digest", name=op.f("pk_usage_hours")),
    )
    covered = ["hour", "account_id", "prompt_tokens", "response_tokens"]
    op.create_index("ix_usage_hours_deployment", "usage_hours", ["deployment_id", *covered])
    op.create_index("ix_usage_hours_model", "usage_hours", ["model_name", *covered])
    op.create_index("ix_usage_hours_account", "usage_hours", ["account_id", "hour"])
    op.create_table(
        "worker_spans",
        sa.Column("worker_id", Name, nullable=False),
        sa.Column("deployment_id", Name, nullable=False),
        sa.Column("account_id", Name, nullable=False),
        sa.Column("model_id", Name, nullable=False),
        sa.Column("gpus", sa.Integer(), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("ended_at", Instant()),
        sa.PrimaryKeyConstraint("worker_id", name=op.f("pk_worker_spans")),
    )
    op.create_index("ix_worker_spans_account", "worker_spans", ["account_id", "started_at"])
    _add_up(hours)


def _add_up(hours: sa.Table) -> None:
    """What was used until now, by the hour."""
    names = ("started_at", *_DIMENSIONS, "prompt_tokens", "response_tokens", "estimated", "total_seconds")
    usage = sa.table("usage", *(sa.column(name) for name in names))
    hour = usage.c.started_at - usage.c.started_at % HOUR
    keys = [usage.c[name] for name in _DIMENSIONS if name != "vendor"]
    bounds = [-1.0, *rollups.BUCKETS, 1e18]
    seconds = usage.c.total_seconds
    counts = [sa.func.sum(sa.case(((seconds > low) & (seconds <= high), 1), else_=0)) for low, high in pairwise(bounds)]
    statement = sa.select(
        hour,
        *keys,
        sa.func.count(),
        sa.func.sum(usage.c.prompt_tokens),
        sa.func.sum(usage.c.response_tokens),
        sa.func.sum(sa.case((usage.c.estimated.is_(sa.true()), 1), else_=0)),
        sa.func.sum(sa.func.round(seconds * 1000)),
        *counts,
    ).group_by(hour, *keys)
    found = op.get_bind().execute(statement).all()
    for start in range(0, len(found), _BATCH):
        op.bulk_insert(hours, [_hour(tuple(row), len(keys)) for row in found[start : start + _BATCH]])


def _hour(row: tuple[object, ...], keys: int) -> dict[str, object]:
    at, named, numbers = row[0], [str(value) for value in row[1 : 1 + keys]], [int(each) for each in row[1 + keys :]]  # type: ignore[call-overload]
    named.insert(_DIMENSIONS.index("vendor"), "")
    calls, prompt, response, estimated, milliseconds, *classes = numbers
    sums = (calls, prompt, response, 0, 0, 0, 0, estimated, milliseconds)
    return {
        "hour": from_microseconds(int(at)),  # type: ignore[call-overload]
        "digest": rollups.digest(named),
        **dict(zip(_DIMENSIONS, named, strict=True)),
        **dict(zip(_SUMS, sums, strict=True)),
        **dict(zip(_CLASSES, classes, strict=True)),
    }


def downgrade() -> None:
    op.drop_table("worker_spans")
    op.drop_table("usage_hours")
    with op.batch_alter_table("usage") as usage:
        for name in ("cost_nano", "vendor", "reasoning_tokens", "cached_tokens"):
            usage.drop_column(name)
