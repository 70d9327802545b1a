"""What autoscaling wants, revisions that can be gone back to, and the load that gateways tell of."""

import sqlalchemy as sa
from alembic import op

from modelyard.store.columns import Instant, Json, Name

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("deployments") as deployments:
        deployments.add_column(sa.Column("wanted", sa.Integer()))
        deployments.add_column(sa.Column("failed_revision", Name))
        deployments.add_column(sa.Column("start_seconds", Json(), nullable=False, server_default="[]"))
        deployments.add_column(sa.Column("note", sa.Text()))
    op.create_table(
        "revisions",
        sa.Column("deployment_id", Name, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("revision", Name, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("created_by_user_id", Name, nullable=False),
        sa.Column("created_by_identity_type", Name, nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("content", Json(), nullable=False),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name=op.f("fk_revisions_deployment_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("deployment_id", "number", name=op.f("pk_revisions")),
    )
    op.create_table(
        "gateways",
        sa.Column("id", Name, nullable=False),
        sa.Column("seen_at", Instant(), nullable=False),
        sa.Column("load", Json(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gateways")),
    )


def downgrade() -> None:
    op.drop_table("gateways")
    op.drop_table("revisions")
    with op.batch_alter_table("deployments") as deployments:
        for name in ("note", "start_seconds", "failed_revision", "wanted"):
            deployments.drop_column(name)
