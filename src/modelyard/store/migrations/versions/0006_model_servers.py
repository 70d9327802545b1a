"""Model servers."""

import sqlalchemy as sa
from alembic import op

from modelyard.store.columns import Instant, Json, Name

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "model_servers",
        sa.Column("id", Name, nullable=False),
        sa.Column("account_id", Name, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("created_by_user_id", Name, nullable=False),
        sa.Column("created_by_identity_type", Name, nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("alias", Name, nullable=True),
        sa.Column("backends", Json(), nullable=False),
        sa.Column("earlier", Json(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_model_servers_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_servers")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_model_servers_account_id_name")),
        sa.UniqueConstraint("account_id", "alias", name=op.f("uq_model_servers_account_id_alias")),
    )
    op.create_index("ix_model_servers_page", "model_servers", ["account_id", "created_at", "id"], unique=False)


def downgrade() -> None:
    op.drop_table("model_servers")
