"""Comparison of the schema in the database with the one that this release needs."""

from __future__ import annotations

from slipway_core.errors import SchemaMismatch
from slipway_core.store.postgres.database import PING_TIMEOUT_SECONDS, Database

HEAD = "0004"
"""The newest revision in `migrations/versions`, which a test checks."""
MIGRATE = "python -m slipway_core.store.schema.migrate"
"""The command that migrates the database."""


async def check_schema(database: Database) -> None:
    """Raise SchemaMismatch unless the database has the schema of this release.

    Raises StoreUnavailable when PostgreSQL does not answer within PING_TIMEOUT_SECONDS, or accepts
    no writes.
    """
    await database.ping()
    async with database.transaction(PING_TIMEOUT_SECONDS) as connection:
        cursor = await connection.execute("SELECT version_num FROM alembic_version")
        row = await cursor.fetchone()
    problem = describe_mismatch(None if row is None else str(row[0]))
    if problem:
        raise SchemaMismatch(problem)


def describe_mismatch(revision: str | None) -> str:
    """Return what is wrong with a database at `revision` and the remedy; empty if it is HEAD.

    None is the revision of a database without tables.
    """
    if revision == HEAD:
        return ""
    if revision is None:
        return f"the database has no tables: run `{MIGRATE}`"
    if revision > HEAD:
        return (
            f"the database is at revision {revision} and this release knows {HEAD}: "
            "run a release at least as new as the one that migrated it"
        )
    return f"the database is at revision {revision} and this release needs {HEAD}: run `{MIGRATE}`"
