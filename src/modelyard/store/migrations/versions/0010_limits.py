"""Limits, and how much of each is used."""

import sqlalchemy as sa
from alembic import op

from modelyard.store.columns import Instant, Json, Name

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "limits",
        sa.Column("id", Name, nullable=False),
        sa.Column("account_id", Name, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("created_by_user_id", Name, nullable=False),
        sa.Column("created_by_identity_type", Name, nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("subject", Name, nullable=False),
        sa.Column("subject_id", Name, nullable=False),
        sa.Column("bounds", Json(), nullable=False),
        sa.Column("on_exceeded", Name, nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_limits_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_limits")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_limits_account_id_name")),
    )
    op.create_index("ix_limits_page", "limits", ["account_id", "created_at", "id"], unique=False)
    op.create_table(
        "limit_use",
        sa.Column("limit_id", Name, nullable=False),
        sa.Column("kind", Name, nullable=False),
        sa.Column("window", Instant(), nullable=False),
        sa.Column("gateway_id", Name, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("limit_id", "kind", "window", "gateway_id", name=op.f("pk_limit_use")),
    )


def downgrade() -> None:
    op.drop_table("limit_use")
    op.drop_table("limits")
