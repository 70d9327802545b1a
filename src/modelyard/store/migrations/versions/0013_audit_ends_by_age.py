"""The audit log: entries end by their age alone, and only after it was said until when."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_KEPT = "SELECT 1 FROM counters WHERE name = 'audit_kept_from' AND value > OLD.at"

_UP = {
    "sqlite": (
        "CREATE TRIGGER audit_log_ends_by_age BEFORE DELETE ON audit_log "
        f"WHEN NOT EXISTS ({_KEPT}) BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION audit_log_ends_by_age() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN IF NOT EXISTS ({_KEPT}) THEN RAISE EXCEPTION 'the audit log is append-only'; END IF; "
        "RETURN OLD; END $$",
        "CREATE TRIGGER audit_log_ends_by_age BEFORE DELETE ON audit_log "
        "FOR EACH ROW EXECUTE FUNCTION audit_log_ends_by_age()",
        "CREATE TRIGGER audit_log_is_not_emptied BEFORE TRUNCATE ON audit_log "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_log_is_append_only()",
    ),
}
_DOWN = {
    "sqlite": ("DROP TRIGGER audit_log_ends_by_age",),
    "postgresql": (
        "DROP TRIGGER audit_log_is_not_emptied ON audit_log",
        "DROP TRIGGER audit_log_ends_by_age ON audit_log",
        "DROP FUNCTION audit_log_ends_by_age()",
    ),
}


def upgrade() -> None:
    for statement in _UP[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN[op.get_bind().dialect.name]:
        op.execute(statement)
    op.execute("DELETE FROM counters WHERE name = 'audit_kept_from'")
