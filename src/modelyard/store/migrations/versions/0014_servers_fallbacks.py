"""Model servers' fallbacks."""

import sqlalchemy as sa
from alembic import op

from modelyard.store.columns import Json

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("model_servers", sa.Column("fallbacks", Json(), nullable=False, server_default="[]"))


def downgrade() -> None:
    with op.batch_alter_table("model_servers") as servers:
        servers.drop_column("fallbacks")
