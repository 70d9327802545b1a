"""An index that leads to a deployment's records, and has what its statistics add up."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_COLUMNS = ["deployment_id", "started_at", "account_id", "prompt_tokens", "response_tokens"]


def upgrade() -> None:
    op.create_index("ix_usage_deployment", "usage", _COLUMNS)


def downgrade() -> None:
    op.drop_index("ix_usage_deployment", "usage")
