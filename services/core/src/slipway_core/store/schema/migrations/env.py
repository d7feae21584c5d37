"""Alembic environment: runs migrations on the connection in the configuration's attributes."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, text

connection: Connection = context.config.attributes["connection"]

context.configure(connection=connection, target_metadata=None)
with context.begin_transaction():
    # One process migrates; the others wait and then have nothing to do.
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('slipway.migrations'))"))
    context.run_migrations()
