"""Alembic's folder: one file a version, never changed once released."""
