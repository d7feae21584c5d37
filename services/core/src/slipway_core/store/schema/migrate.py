"""Migration of the database schema: `python -m slipway_core.store.schema.migrate`.

Several processes may run it at once: an advisory lock lets one of them work. When there is nothing
to migrate it takes a few queries, and imports neither Alembic nor SQLAlchemy.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from typing import Any

import psycopg

from slipway_core.errors import InvalidSettings, SlipwayError, StoreUnavailable
from slipway_core.settings import ServiceSettings
from slipway_core.store.postgres.connection import connection_options
from slipway_core.store.schema.partitions import PARTITION_NAMES, PARTITIONED, create_statements

HEAD = "0003"
"""The newest revision in `migrations/versions`, which a test checks."""

STATEMENT_TIMEOUT_SECONDS = 600


def migrate(database_url: str, deployment: str = "") -> bool:
    """Migrate the schema to HEAD and create missing partitions; return whether a migration ran.

    deployment: that of the predictions which were stored before they named theirs; empty when it is
    not known, and then no server shows them.

    Raises InvalidSettings when the URL is malformed or the schema is newer than this release, and
    StoreUnavailable when PostgreSQL cannot be reached.
    """
    try:
        current = _read_revision(database_url)
        if current is not None and current > HEAD:
            raise InvalidSettings(
                f"the database is at revision {current} and this release knows {HEAD}: "
                "run a release at least as new as the one that migrated it"
            )
        if current != HEAD:
            run_alembic(database_url, HEAD, deployment)
        _create_partitions(database_url)
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"the database cannot be migrated: {error}") from None
    except psycopg.ProgrammingError as error:
        raise InvalidSettings(f"the database cannot be migrated: {error}") from None
    return current != HEAD


def read_revision(database_url: str) -> str | None:
    """Return the revision of the schema; None for an empty database.

    Raises StoreUnavailable when PostgreSQL cannot be reached or rejects the connection.
    """
    try:
        return _read_revision(database_url)
    except psycopg.Error as error:
        raise StoreUnavailable(f"the database cannot be read: {error}") from None


def run_alembic(database_url: str, revision: str, deployment: str = "") -> None:
    """Upgrade to `revision`, or downgrade to 'base', which drops all tables."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.exc import OperationalError

    config = Config()
    config.attributes["deployment"] = deployment
    config.set_main_option("script_location", "slipway_core.store.schema:migrations")
    engine = create_engine("postgresql+psycopg://", creator=lambda: _connect(database_url))
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            (command.downgrade if revision == "base" else command.upgrade)(config, revision)
    except OperationalError as error:
        raise StoreUnavailable(f"the database cannot be migrated: {error.orig}") from None
    finally:
        engine.dispose()


def _read_revision(database_url: str) -> str | None:
    with _connect(database_url) as connection:
        exists = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
        if exists != (True,):
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _create_partitions(database_url: str) -> None:
    with _connect(database_url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('slipway.partitions'))")
        existing = connection.execute(PARTITION_NAMES, [list(PARTITIONED)]).fetchall()
        for statement in create_statements({name for (name,) in existing}, datetime.now(UTC)):
            connection.execute(statement)


def _connect(database_url: str) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(database_url, **connection_options(STATEMENT_TIMEOUT_SECONDS))


def main() -> int:
    """Migrate the database of SLIPWAY_DATABASE_URL and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--adopt-predictions",
        action="store_true",
        help="predictions stored before they named their deployment are those of this deployment",
    )
    arguments = parser.parse_args()
    try:
        settings = ServiceSettings.load()
        url = settings.database_url.get_secret_value()
        if not url:
            raise InvalidSettings("SLIPWAY_DATABASE_URL is empty: set it to postgresql://...")
        changed = migrate(url, settings.deployment_id if arguments.adopt_predictions else "")
    except SlipwayError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    outcome = "was migrated to" if changed else "is already at"
    sys.stdout.write(f"the database {outcome} revision {HEAD}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
