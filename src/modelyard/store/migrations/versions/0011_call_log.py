"""The call log: usage records are found by who paid, by whose key, and by the request's id."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_usage_account", "usage", ["account_id", "started_at", "id"])
    op.create_index("ix_usage_key", "usage", ["account_id", "key_id", "started_at", "id"])
    op.create_index("ix_usage_request", "usage", ["account_id", "request_id"])


def downgrade() -> None:
    for name in ("ix_usage_request", "ix_usage_key", "ix_usage_account"):
        op.drop_index(name, table_name="usage")
