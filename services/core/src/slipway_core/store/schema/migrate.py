"""Migration of the database schema: `python -m slipway_core.store.schema.migrate`.

Several processes may run it at once: an advisory lock lets one of them work. When there is nothing
to migrate it takes a few queries, and imports neither Alembic nor SQLAlchemy.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import psycopg

from slipway_core.errors import InvalidSettings, SlipwayError, StoreUnavailable
from slipway_core.settings import ServiceSettings
from slipway_core.store.postgres.connection import connection_options, session_settings
from slipway_core.store.schema.revision import HEAD, describe_mismatch
from slipway_core.store.schema.roles import read_sql

STATEMENT_TIMEOUT_SECONDS = 600
ENCODING = "UTF8"
"""The encoding of a database that can store every text."""


def migrate(database_url: str, deployment: str = "") -> bool:
    """Migrate the schema to HEAD, create missing partitions and grant rights on the tables.

    Returns whether a migration ran.

    deployment: that of the predictions which were stored before they named theirs; empty when it is
    not known, and then no server shows them.

    Raises InvalidSettings when the URL is malformed, the role of the URL or the database is
    unsuitable, or the schema is newer than this release, and
    StoreUnavailable when PostgreSQL cannot be reached.
    """
    try:
        current = _read_revision(database_url)
        if current is not None and current > HEAD:
            raise InvalidSettings(describe_mismatch(current))
        if current != HEAD:
            _check_database(database_url, is_new=current is None)
            run_alembic(database_url, HEAD, deployment)
        _complete(database_url)
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"the database cannot be migrated: {error}") from None
    except psycopg.errors.InsufficientPrivilege as error:
        raise _not_the_owner(error) from None
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
    """Upgrade to `revision`, or downgrade to 'base', which drops all tables.

    Raises psycopg.Error.
    """
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.exc import DBAPIError

    config = Config()
    config.attributes["deployment"] = deployment
    config.set_main_option("script_location", "slipway_core.store.schema:migrations")
    engine = create_engine("postgresql+psycopg://", creator=lambda: _connect(database_url))
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            (command.downgrade if revision == "base" else command.upgrade)(config, revision)
    except DBAPIError as error:
        if error.orig is None:
            raise
        raise error.orig from None
    finally:
        engine.dispose()


def _read_revision(database_url: str) -> str | None:
    with _connect(database_url) as connection:
        exists = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
        if exists != (True,):
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _check_database(database_url: str, *, is_new: bool) -> None:
    """Raise InvalidSettings unless the role may create tables, and a new database can store text.

    A migration would fail with less to go by.
    """
    with _connect(database_url) as connection:
        row = connection.execute(
            "SELECT current_user, current_database(), current_schema(), current_setting("
            "'search_path'), current_setting('server_encoding'),"
            " has_schema_privilege(current_schema(), 'CREATE')"
        ).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM returns a row
    role, database, schema, search_path, encoding, may_create = row
    if schema is None:
        raise InvalidSettings(
            f"the database {database} has no schema of the search_path {search_path} that the "
            f"role {role} may use: create one (CREATE SCHEMA), or correct `search_path`"
        )
    if not may_create:
        raise InvalidSettings(
            f"the role {role} may not create tables in the schema {schema} of the database "
            f"{database}: connect as the owner of the database, or let a superuser run "
            f'GRANT USAGE, CREATE ON SCHEMA "{schema}" TO "{role}"'
        )
    if is_new and encoding != ENCODING:
        raise InvalidSettings(
            f"the database {database} has the encoding {encoding}, which cannot store every text: "
            f"create it with CREATE DATABASE {database} ENCODING '{ENCODING}' TEMPLATE template0"
        )


def _complete(database_url: str) -> None:
    """Create missing partitions, and grant the roles of the services rights on the tables."""
    with _connect(database_url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('slipway.partitions'))")
        connection.execute("SELECT slipway_create_partitions(now())")
        connection.execute(read_sql("grants"))


def _connect(database_url: str) -> psycopg.Connection[tuple[Any, ...]]:
    connection = psycopg.connect(database_url, **connection_options(), autocommit=True)
    connection.execute(*session_settings(STATEMENT_TIMEOUT_SECONDS))
    connection.autocommit = False
    return connection


def _not_the_owner(error: psycopg.Error) -> InvalidSettings:
    return InvalidSettings(
        f"the database cannot be migrated: {error.diag.message_primary}; connect as the role that "
        "owns Slipway's tables"
    )


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
