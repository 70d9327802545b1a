"""Alembic's entry: always over the connection that `modelyard.store.migrations` was given."""

from alembic import context

from modelyard.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
