"""Which revisions were ever ready: those can be gone back to."""

import sqlalchemy as sa
from alembic import op

from modelyard.store.columns import Instant

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("revisions") as revisions:
        revisions.add_column(sa.Column("ready_at", Instant()))


def downgrade() -> None:
    with op.batch_alter_table("revisions") as revisions:
        revisions.drop_column("ready_at")
