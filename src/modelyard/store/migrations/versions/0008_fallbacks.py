"""Models' fallbacks, and who answered in usage records."""

import sqlalchemy as sa
from alembic import op

from modelyard.store.columns import Json, Name

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("models", sa.Column("fallbacks", Json(), nullable=False, server_default="[]"))
    op.add_column("usage", sa.Column("served_by", Name))


def downgrade() -> None:
    with op.batch_alter_table("models") as models:
        models.drop_column("fallbacks")
    with op.batch_alter_table("usage") as usage:
        usage.drop_column("served_by")
