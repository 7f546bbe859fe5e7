"""Runs inside the transaction that ``migration.py`` has begun, on its connection."""

from alembic import context

attributes = context.config.attributes
schema = attributes["schema"]
context.configure(
    connection=attributes["connection"],
    target_metadata=schema.metadata,
    version_table=schema.version_table,
)
with context.begin_transaction():
    context.run_migrations(prefix=schema.prefix)
