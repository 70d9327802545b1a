"""The first schema."""

import sqlalchemy as sa
from alembic import op

from modelyard.store.columns import Instant, Json, Name, Prose

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", Name, nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("status", Name, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
    )
    op.create_table(
        "counters",
        sa.Column("name", Name, nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("deployment_id", Name, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("kind", Name, nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index(op.f("ix_events_deployment_id"), "events", ["deployment_id"], unique=False)
    op.create_table(
        "idempotency",
        sa.Column("key_id", Name, nullable=False),
        sa.Column("fingerprint", Name, nullable=False),
        sa.Column("body_digest", Name, nullable=False),
        sa.Column("entity_id", Name, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", "fingerprint", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_created_at"), "idempotency", ["created_at"], unique=False)
    op.create_table(
        "identities",
        sa.Column("id", Name, nullable=False),
        sa.Column("type", Name, nullable=False),
        sa.Column("email", Name, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("first_name", sa.String(), nullable=True),
        sa.Column("last_name", sa.String(), nullable=True),
        sa.Column("is_administrator", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identities")),
    )
    op.create_table(
        "usage",
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("id", Name, nullable=False),
        sa.Column("request_id", Name, nullable=False),
        sa.Column("account_id", Name, nullable=False),
        sa.Column("key_id", Name, nullable=False),
        sa.Column("identity_id", Name, nullable=False),
        sa.Column("deployment_id", Name, nullable=False),
        sa.Column("model_id", Name, nullable=False),
        sa.Column("model_name", Name, nullable=False),
        sa.Column("verb", Name, nullable=False),
        sa.Column("outcome", Name, nullable=False),
        sa.Column("error_code", Name, nullable=True),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("response_tokens", sa.BigInteger(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("first_byte_seconds", sa.Float(), nullable=True),
        sa.Column("total_seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("started_at", "id", name=op.f("pk_usage")),
    )
    op.create_index(
        "ix_usage_deployment",
        "usage",
        ["deployment_id", "started_at", "account_id", "prompt_tokens", "response_tokens"],
        unique=False,
    )
    op.create_index(
        "ix_usage_model",
        "usage",
        ["model_name", "started_at", "account_id", "prompt_tokens", "response_tokens"],
        unique=False,
    )
    op.create_table(
        "keys",
        sa.Column("id", Name, nullable=False),
        sa.Column("identity_id", Name, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("digest", Name, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=True),
        sa.Column("revoked_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name=op.f("fk_keys_identity_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keys")),
        sa.UniqueConstraint("digest", name=op.f("uq_keys_digest")),
    )
    op.create_index(op.f("ix_keys_identity_id"), "keys", ["identity_id"], unique=False)
    op.create_table(
        "memberships",
        sa.Column("id", Name, nullable=False),
        sa.Column("account_id", Name, nullable=False),
        sa.Column("identity_id", Name, nullable=False),
        sa.Column("role", Name, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_memberships_account_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name=op.f("fk_memberships_identity_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_memberships")),
        sa.UniqueConstraint("account_id", "identity_id", name=op.f("uq_memberships_account_id_identity_id")),
    )
    op.create_index(op.f("ix_memberships_identity_id"), "memberships", ["identity_id"], unique=False)
    op.create_table(
        "templates",
        sa.Column("id", Name, nullable=False),
        sa.Column("account_id", Name, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("created_by_user_id", Name, nullable=False),
        sa.Column("created_by_identity_type", Name, nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("endpoint_type", Name, nullable=False),
        sa.Column("model_type", Name, nullable=False),
        sa.Column("endpoint_protocol", Name, nullable=False),
        sa.Column("bundle", Json(), nullable=False),
        sa.Column("endpoint", Json(), nullable=False),
        sa.Column("fine_tuning", Json(), nullable=True),
        sa.Column("creation_schema", Json(), nullable=False),
        sa.Column("request_schema", Json(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_templates_account_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_templates")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_templates_account_id_name")),
    )
    op.create_index("ix_templates_page", "templates", ["account_id", "created_at", "id"], unique=False)
    op.create_table(
        "models",
        sa.Column("id", Name, nullable=False),
        sa.Column("account_id", Name, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("created_by_user_id", Name, nullable=False),
        sa.Column("created_by_identity_type", Name, nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("model_type", Name, nullable=False),
        sa.Column("model_vendor", Name, nullable=True),
        sa.Column("display_name", Name, nullable=True),
        sa.Column("description", Prose, nullable=True),
        sa.Column("model_template_id", Name, nullable=True),
        sa.Column("model_creation_parameters", Json(), nullable=False),
        sa.Column("model_group_id", Name, nullable=True),
        sa.Column("base_model_id", Name, nullable=True),
        sa.Column("base_model_metadata", Json(), nullable=True),
        sa.Column("model_card", Prose, nullable=True),
        sa.Column("training_data_card", Prose, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_models_account_id")),
        sa.ForeignKeyConstraint(["model_template_id"], ["templates.id"], name=op.f("fk_models_model_template_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_models")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_models_account_id_name")),
    )
    op.create_index(op.f("ix_models_model_group_id"), "models", ["model_group_id"], unique=False)
    op.create_index(op.f("ix_models_model_template_id"), "models", ["model_template_id"], unique=False)
    op.create_index("ix_models_page", "models", ["account_id", "created_at", "id"], unique=False)
    op.create_index("ix_models_page_of_type", "models", ["account_id", "model_type", "created_at", "id"], unique=False)
    op.create_table(
        "deployments",
        sa.Column("id", Name, nullable=False),
        sa.Column("account_id", Name, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("created_by_user_id", Name, nullable=False),
        sa.Column("created_by_identity_type", Name, nullable=False),
        sa.Column("name", Name, nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("model_id", Name, nullable=False),
        sa.Column("vendor_configuration", Json(), nullable=False),
        sa.Column("model_creation_parameters", Json(), nullable=False),
        sa.Column("deployment_metadata", Json(), nullable=True),
        sa.Column("min_workers", sa.Integer(), nullable=False),
        sa.Column("max_workers", sa.Integer(), nullable=False),
        sa.Column("per_worker", sa.Integer(), nullable=False),
        sa.Column("revision", Name, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("observed_generation", sa.BigInteger(), nullable=False),
        sa.Column("ready_revision", Name, nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("failed_at", Instant(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("demanded_at", Instant(), nullable=True),
        sa.Column("status", Name, nullable=False),
        sa.Column("due_at", Instant(), nullable=False),
        sa.Column("nudged", sa.Boolean(), nullable=False),
        sa.Column("lease_owner", Name, nullable=True),
        sa.Column("lease_until", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_deployments_account_id")),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_deployments_model_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployments")),
        sa.UniqueConstraint("model_id", "name", name=op.f("uq_deployments_model_id_name")),
    )
    op.create_index(op.f("ix_deployments_due_at"), "deployments", ["due_at"], unique=False)
    op.create_index("ix_deployments_page", "deployments", ["account_id", "created_at", "id"], unique=False)
    op.create_table(
        "workers",
        sa.Column("id", Name, nullable=False),
        sa.Column("deployment_id", Name, nullable=False),
        sa.Column("revision", Name, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("phase", Name, nullable=False),
        sa.Column("address", sa.String(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("ready_at", Instant(), nullable=True),
        sa.Column("draining_since", Instant(), nullable=True),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name=op.f("fk_workers_deployment_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_index(op.f("ix_workers_deployment_id"), "workers", ["deployment_id"], unique=False)
    op.execute("INSERT INTO counters (name, value) VALUES ('routes', 0)")
