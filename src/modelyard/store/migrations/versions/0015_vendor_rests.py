"""Rests of vendors' keys, which gateways share."""

import sqlalchemy as sa
from alembic import op

from modelyard.store.columns import Instant, Name

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "vendor_rests",
        sa.Column("key_id", Name, nullable=False),
        sa.Column("model", Name, nullable=False),
        sa.Column("began", Instant(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("limited", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", "model", name=op.f("pk_vendor_rests")),
    )
    op.execute("INSERT INTO counters (name, value) VALUES ('vendor_rests', 0)")


def downgrade() -> None:
    op.execute("DELETE FROM counters WHERE name = 'vendor_rests'")
    op.drop_table("vendor_rests")
