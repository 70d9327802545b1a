"""The tables. A change here needs a migration in ``migrations/versions``; a test compares the two."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

from modelyard.store.columns import Instant, Json, Name, Prose, Words

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _owned() -> list[Column[object]]:
    """What every entity carries: id, owner, and who made it when."""
    return [
        Column("id", Name, primary_key=True),
        Column("account_id", Name, ForeignKey("accounts.id"), nullable=False),
        Column("created_at", Instant, nullable=False),
        Column("created_by_user_id", Name, nullable=False),
        Column("created_by_identity_type", Name, nullable=False),
        Column("name", Name, nullable=False),
        # counts changes, so that nobody overwrites what he has not seen
        Column("version", Integer, nullable=False, server_default="1"),
    ]


accounts = Table(
    "accounts",
    metadata,
    Column("id", Name, primary_key=True),
    Column("name", Name, nullable=False),
    Column("status", Name, nullable=False),
    Column("created_at", Instant, nullable=False),
)

identities = Table(
    "identities",
    metadata,
    Column("id", Name, primary_key=True),
    Column("type", Name, nullable=False),
    # in lower case, as far as it is ASCII
    Column("email", Name, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("first_name", String),
    Column("last_name", String),
    Column("is_administrator", Boolean, nullable=False),
    Index("ix_identities_email", "email", unique=True),
)

memberships = Table(
    "memberships",
    metadata,
    Column("id", Name, primary_key=True),
    Column("account_id", Name, ForeignKey("accounts.id", ondelete="CASCADE"), nullable=False),
    Column("identity_id", Name, ForeignKey("identities.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("role", Name, nullable=False),
    Column("state", Name, nullable=False, server_default="active"),
    UniqueConstraint("account_id", "identity_id"),
)

subjects = Table(
    "subjects",
    metadata,
    # as whom somebody signs in: an OIDC provider's word for a person
    Column("issuer", Name, primary_key=True),
    Column("subject", Name, primary_key=True),
    Column("identity_id", Name, ForeignKey("identities.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", Instant, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Name, primary_key=True),
    Column("identity_id", Name, ForeignKey("identities.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("prefix", String, nullable=False),
    Column("digest", Name, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("kind", Name, nullable=False, server_default="key"),
    Column("scopes", Json),
    Column("models", Json),
    Column("last_used_at", Instant),
)

retired_secrets = Table(
    "retired_secrets",
    metadata,
    # what a key was before it was rotated, for as long as it stays valid
    Column("digest", Name, primary_key=True),
    Column("key_id", Name, ForeignKey("keys.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("ends_at", Instant, nullable=False),
)

audit_log = Table(
    "audit_log",
    metadata,
    # no foreign keys: it outlives what it tells of. A trigger refuses every UPDATE.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False, index=True),
    Column("account_id", Name),
    Column("actor_id", Name, nullable=False),
    Column("actor_type", Name, nullable=False),
    Column("key_id", Name, nullable=False),
    Column("request_id", Name, nullable=False),
    Column("action", Name, nullable=False),
    Column("entity_type", Name, nullable=False),
    Column("entity_id", Name, nullable=False, index=True),
    Column("before", Json),
    Column("after", Json),
    Index("ix_audit_log_account", "account_id", "id"),
)

vendor_credentials = Table(
    "vendor_credentials",
    metadata,
    *_owned(),
    Column("vendor", Name, nullable=False),
    # encrypted by control.vault
    Column("sealed", Prose, nullable=False),
    Column("masked", Name, nullable=False),
    Column("base_url", Name),
    Column("parameters", Json, nullable=False),
    UniqueConstraint("account_id", "name"),
    Index("ix_vendor_credentials_page", "account_id", "created_at", "id"),
)

templates = Table(
    "templates",
    metadata,
    *_owned(),
    Column("endpoint_type", Name, nullable=False),
    Column("model_type", Name, nullable=False),
    Column("endpoint_protocol", Name, nullable=False),
    Column("bundle", Json, nullable=False),
    Column("endpoint", Json, nullable=False),
    Column("fine_tuning", Json),
    Column("creation_schema", Json, nullable=False),
    Column("request_schema", Json, nullable=False),
    UniqueConstraint("account_id", "name"),
    Index("ix_templates_page", "account_id", "created_at", "id"),
)

model_groups = Table(
    "model_groups",
    metadata,
    *_owned(),
    Column("description", Prose),
    UniqueConstraint("account_id", "name"),
    Index("ix_model_groups_page", "account_id", "created_at", "id"),
)

models = Table(
    "models",
    metadata,
    *_owned(),
    Column("model_type", Name, nullable=False),
    Column("model_vendor", Name),
    Column("display_name", Name),
    Column("description", Prose),
    Column("model_template_id", Name, ForeignKey("templates.id"), index=True),
    Column("model_creation_parameters", Json, nullable=False),
    Column("model_group_id", Name, index=True),
    Column("base_model_id", Name),
    Column("base_model_metadata", Json),
    Column("model_card", Prose),
    Column("training_data_card", Prose),
    Column("fallbacks", Json, nullable=False, server_default="[]"),
    UniqueConstraint("account_id", "name"),
    Index("ix_models_page", "account_id", "created_at", "id"),
    Index("ix_models_page_of_type", "account_id", "model_type", "created_at", "id"),
)

deployments = Table(
    "deployments",
    metadata,
    *_owned(),
    Column("model_id", Name, ForeignKey("models.id"), nullable=False),
    Column("vendor_configuration", Json, nullable=False),
    Column("model_creation_parameters", Json, nullable=False),
    Column("deployment_metadata", Json),
    # the target: written by whoever asks
    Column("min_workers", Integer, nullable=False),
    Column("max_workers", Integer, nullable=False),
    Column("per_worker", Integer, nullable=False),
    Column("revision", Name, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("deleted", Boolean, nullable=False),
    # the observed: written by the lease's holder alone, except for demanded_at
    Column("observed_generation", BigInteger, nullable=False),
    Column("ready_revision", Name),
    Column("failures", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("failed_at", Instant),
    Column("reason", Words),
    Column("demanded_at", Instant),
    Column("wanted", Integer),
    Column("failed_revision", Name),
    Column("start_seconds", Json, nullable=False, server_default="[]"),
    Column("note", Words),
    Column("status", Name, nullable=False),
    # the lease
    Column("due_at", Instant, nullable=False, index=True),
    Column("nudged", Boolean, nullable=False),
    Column("lease_owner", Name),
    Column("lease_until", Instant),
    UniqueConstraint("model_id", "name"),
    Index("ix_deployments_page", "account_id", "created_at", "id"),
)

model_servers = Table(
    "model_servers",
    metadata,
    *_owned(),
    Column("alias", Name),
    # [deployment id, weight] of each; and what was there before, newest last
    Column("backends", Json, nullable=False),
    Column("earlier", Json, nullable=False),
    Column("fallbacks", Json, nullable=False, server_default="[]"),
    UniqueConstraint("account_id", "name"),
    UniqueConstraint("account_id", "alias"),
    Index("ix_model_servers_page", "account_id", "created_at", "id"),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Name, primary_key=True),
    Column("deployment_id", Name, ForeignKey("deployments.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("revision", Name, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("phase", Name, nullable=False),
    Column("address", String),
    Column("detail", Words),
    Column("ready_at", Instant),
    Column("draining_since", Instant),
)

revisions = Table(
    "revisions",
    metadata,
    Column("deployment_id", Name, ForeignKey("deployments.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    # the fingerprint of ``content``; one that comes back is a new row
    Column("revision", Name, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by_user_id", Name, nullable=False),
    Column("created_by_identity_type", Name, nullable=False),
    Column("why", Words, nullable=False),
    Column("content", Json, nullable=False),
    # when a worker of it was ready for the first time
    Column("ready_at", Instant),
)

gateways = Table(
    "gateways",
    metadata,
    # one row for each gateway process that had calls lately
    Column("id", Name, primary_key=True),
    Column("seen_at", Instant, nullable=False),
    Column("load", Json, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    # no foreign key: what happened to a deployment outlives it
    Column("deployment_id", Name, nullable=False, index=True),
    Column("at", Instant, nullable=False),
    Column("kind", Name, nullable=False),
    Column("message", Words, nullable=False),
)

limits = Table(
    "limits",
    metadata,
    *_owned(),
    Column("subject", Name, nullable=False),
    Column("subject_id", Name, nullable=False),
    Column("bounds", Json, nullable=False),
    Column("on_exceeded", Name, nullable=False),
    Column("priority", Integer, nullable=False),
    UniqueConstraint("account_id", "name"),
    Index("ix_limits_page", "account_id", "created_at", "id"),
)

limit_use = Table(
    "limit_use",
    metadata,
    # by gateway what its calls under way have reserved; without one what is spent for good
    Column("limit_id", Name, primary_key=True),
    Column("kind", Name, primary_key=True),
    Column("window", Instant, primary_key=True),
    Column("gateway_id", Name, primary_key=True),
    Column("amount", BigInteger, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("key_id", Name, primary_key=True),
    Column("fingerprint", Name, primary_key=True),
    Column("body_digest", Name, nullable=False),
    Column("entity_id", Name, nullable=False),
    Column("created_at", Instant, nullable=False, index=True),
)

counters = Table(
    "counters",
    metadata,
    Column("name", Name, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

ROUTES_VERSION = "routes"

AUDIT_KEPT_FROM = "audit_kept_from"
"""Microseconds since 1970: the database lets audit entries end that are older, and no others."""
