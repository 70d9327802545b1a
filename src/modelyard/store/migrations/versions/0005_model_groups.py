"""Model groups."""

import sqlalchemy as sa
from alembic import op

from modelyard.store.columns import Instant, Name, Prose

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "model_groups",
        sa.Column("id", Name, nullable=False),
        sa.Column("account_id", Name, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("created_by_user_id", Name, nullable=False),
        sa.Column("created_by_identity_type", Name, nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("description", Prose, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_model_groups_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_groups")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_model_groups_account_id_name")),
    )
    op.create_index("ix_model_groups_page", "model_groups", ["account_id", "created_at", "id"], unique=False)


def downgrade() -> None:
    op.drop_table("model_groups")
