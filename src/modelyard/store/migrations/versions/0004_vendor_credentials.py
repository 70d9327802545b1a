"""Accounts' own access to vendors, encrypted."""

import sqlalchemy as sa
from alembic import op

from modelyard.store.columns import Instant, Json, Name, Prose

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "vendor_credentials",
        sa.Column("id", Name, nullable=False),
        sa.Column("account_id", Name, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("created_by_user_id", Name, nullable=False),
        sa.Column("created_by_identity_type", Name, nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("vendor", Name, nullable=False),
        sa.Column("sealed", Prose, nullable=False),
        sa.Column("masked", Name, nullable=False),
        sa.Column("base_url", Name),
        sa.Column("parameters", Json(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_vendor_credentials_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_vendor_credentials"),
        sa.UniqueConstraint("account_id", "name", name="uq_vendor_credentials_account_id_name"),
    )
    op.create_index("ix_vendor_credentials_page", "vendor_credentials", ["account_id", "created_at", "id"])


def downgrade() -> None:
    op.drop_table("vendor_credentials")
