"""Members that are invited or disabled, sign-in, keys with scopes that can be rotated, and the audit log."""

import sqlalchemy as sa
from alembic import op

from modelyard.store.columns import Instant, Json, Name

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # An index, no constraint: SQLite would make the table anew for that, and its members would go with the old one.
    op.create_index(op.f("ix_identities_email"), "identities", ["email"], unique=True)
    with op.batch_alter_table("memberships") as memberships:
        memberships.add_column(sa.Column("state", Name, nullable=False, server_default="active"))
    with op.batch_alter_table("keys") as keys:
        keys.add_column(sa.Column("kind", Name, nullable=False, server_default="key"))
        keys.add_column(sa.Column("scopes", Json()))
        keys.add_column(sa.Column("models", Json()))
        keys.add_column(sa.Column("last_used_at", Instant()))
    _sign_in()
    _audit_log()


def _sign_in() -> None:
    op.create_table(
        "subjects",
        sa.Column("issuer", Name, nullable=False),
        sa.Column("subject", Name, nullable=False),
        sa.Column("identity_id", Name, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identities.id"], name=op.f("fk_subjects_identity_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("pk_subjects")),
    )
    op.create_index(op.f("ix_subjects_identity_id"), "subjects", ["identity_id"])
    op.create_table(
        "retired_secrets",
        sa.Column("digest", Name, nullable=False),
        sa.Column("key_id", Name, nullable=False),
        sa.Column("ends_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["keys.id"], name=op.f("fk_retired_secrets_key_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_retired_secrets")),
    )
    op.create_index(op.f("ix_retired_secrets_key_id"), "retired_secrets", ["key_id"])


def _audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("account_id", Name),
        sa.Column("actor_id", Name, nullable=False),
        sa.Column("actor_type", Name, nullable=False),
        sa.Column("key_id", Name, nullable=False),
        sa.Column("request_id", Name, nullable=False),
        sa.Column("action", Name, nullable=False),
        sa.Column("entity_type", Name, nullable=False),
        sa.Column("entity_id", Name, nullable=False),
        sa.Column("before", Json()),
        sa.Column("after", Json()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index(op.f("ix_audit_log_at"), "audit_log", ["at"])
    op.create_index(op.f("ix_audit_log_entity_id"), "audit_log", ["entity_id"])
    op.create_index(op.f("ix_audit_log_account"), "audit_log", ["account_id", "id"])
    for statement in _TRIGGERS[op.get_bind().dialect.name]:
        op.execute(statement)


_TRIGGERS = {
    "sqlite": (
        "CREATE TRIGGER audit_log_is_append_only BEFORE UPDATE ON audit_log "
        "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$",
        "CREATE TRIGGER audit_log_is_append_only BEFORE UPDATE ON audit_log "
        "FOR EACH ROW EXECUTE FUNCTION audit_log_is_append_only()",
    ),
}


def downgrade() -> None:
    for name in ("audit_log", "retired_secrets", "subjects"):
        op.drop_table(name)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_log_is_append_only()")
    with op.batch_alter_table("keys") as keys:
        for name in ("last_used_at", "models", "scopes", "kind"):
            keys.drop_column(name)
    with op.batch_alter_table("memberships") as memberships:
        memberships.drop_column("state")
    op.drop_index(op.f("ix_identities_email"), "identities")
