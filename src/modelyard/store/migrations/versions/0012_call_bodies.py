"""What accounts keep of their calls' content."""

import sqlalchemy as sa
from alembic import op

from modelyard.store.columns import Instant, Json, Name

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "call_log_settings",
        sa.Column("id", Name, nullable=False),
        sa.Column("account_id", Name, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("bodies", Name, nullable=False),
        sa.Column("retention_days", sa.Integer(), nullable=False),
        sa.Column("redact", Json(), nullable=False),
        sa.Column("max_body_bytes", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_call_log_settings_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call_log_settings")),
    )
    op.create_table(
        "call_bodies",
        sa.Column("id", Name, nullable=False),
        sa.Column("account_id", Name, nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("path", Name, nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("request_truncated", sa.Boolean(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("answer_truncated", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call_bodies")),
    )
    op.create_index("ix_call_bodies_account", "call_bodies", ["account_id", "started_at", "id"])


def downgrade() -> None:
    op.drop_table("call_bodies")
    op.drop_table("call_log_settings")
