"""The roles of PostgreSQL: the owner changes tables, the application rows, the reader nothing."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr
from tests.fixtures.postgres import PASSWORDS, as_owner, as_role

from slipway_batch.settings import BatchSettings
from slipway_cli.local.servers.account import ServerAccount
from slipway_cli.local.servers.binaries import ServerBinaries
from slipway_cli.local.servers.postgres import DATABASE, PostgresServer
from slipway_core.errors import InvalidSettings
from slipway_core.store.postgres.database import Database
from slipway_core.store.schema import migrate, tables
from slipway_core.store.schema.partitions import maintain_partitions
from slipway_core.store.schema.revision import check_schema
from slipway_core.store.schema.roles import (
    APPLICATION,
    OWNER,
    READER,
    SUPERUSER,
    prepare_roles,
    read_sql,
)

pytestmark = pytest.mark.component

ROLES = (OWNER, APPLICATION, READER)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE more (id int)",
        "CREATE TEMPORARY TABLE more (id int)",
        "CREATE SCHEMA more",
        "CREATE ROLE more",
        "ALTER TABLE predictions ADD COLUMN more int",
        "ALTER TABLE predictions DISABLE TRIGGER ALL",
        "DROP TABLE batch_results",
        "TRUNCATE predictions",
        "UPDATE alembic_version SET version_num = '9999'",
        "CREATE OR REPLACE FUNCTION slipway_create_partitions() RETURNS void LANGUAGE sql AS ''",
        "SELECT slipway_create_partitions(now() + interval '100 years')",
        "SELECT slipway_drop_partitions(now() + interval '1 year', interval '1 day')",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY predictions TO '/tmp/predictions'",
        "COPY predictions TO PROGRAM 'cat'",
        "SELECT rolpassword FROM pg_authid",
        "ALTER SYSTEM SET work_mem = '1GB'",
        f"SET ROLE {OWNER}",
    ],
)
def test_the_application_changes_nothing_but_rows(database_url: str, statement: str) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def test_the_reader_reads_all_tables_and_writes_none(database_url: str) -> None:
    with psycopg.connect(as_role(database_url, READER), autocommit=True) as connection:
        for table in tables.Prediction.metadata.tables:
            connection.execute(f"TABLE {table}".encode())
        connection.execute("SET default_transaction_read_only = off")
        for statement in ("DELETE FROM predictions", "SELECT slipway_create_partitions()"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_the_application_has_rights_on_every_table(database_url: str) -> None:
    """A new table belongs into roles.sql and grants.sql."""
    with psycopg.connect(database_url) as connection:
        for table in tables.Prediction.metadata.tables:
            row = connection.execute(
                "SELECT has_table_privilege(%(table)s, 'SELECT'),"
                " has_table_privilege(%(table)s, 'INSERT'),"
                " has_table_privilege(%(table)s, 'UPDATE'),"
                " has_table_privilege(%(table)s, 'DELETE')",
                {"table": table},
            ).fetchone()
            assert row == (True, True, True, True), table
            assert f"'{table}'".encode() in read_sql("roles"), table


def test_functions_with_the_rights_of_the_owner_look_only_where_it_does(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT proname, rolname, proconfig FROM pg_proc JOIN pg_roles ON pg_roles.oid ="
            " proowner WHERE prosecdef AND pronamespace = 'public'::regnamespace"
        ).fetchall()
    assert {name for name, *_ in rows} == {"slipway_create_partitions", "slipway_drop_partitions"}
    for _, owner, settings in rows:
        assert owner == OWNER
        assert "search_path=public, pg_temp" in settings


def test_the_application_cannot_migrate_and_is_told_who_can(database_url: str) -> None:
    with pytest.raises(InvalidSettings, match="connect as the role that owns"):
        migrate.migrate(database_url)
    with psycopg.connect(as_owner(database_url)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0002'")
    with pytest.raises(InvalidSettings, match="GRANT USAGE, CREATE ON SCHEMA"):
        migrate.migrate(database_url)


async def test_one_role_for_everything_goes_on_working(
    empty_database_url: str, batch_settings: BatchSettings
) -> None:
    superuser = as_role(empty_database_url, SUPERUSER)
    role, password = "everything", secrets.token_urlsafe(16)
    with psycopg.connect(superuser, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'".encode())
        connection.execute(f"ALTER DATABASE {name} OWNER TO {role}".encode())
    url = make_conninfo(empty_database_url, user=role, password=password)
    try:
        assert migrate.migrate(url) is True
        settings = batch_settings.model_copy(update={"database_url": SecretStr(url)})
        database = await Database.open(settings)
        await check_schema(database)
        await maintain_partitions(database, timedelta(days=1))
        await database.close()
    finally:
        with psycopg.connect(superuser, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} OWNER TO {OWNER}".encode())
            connection.execute(f"REASSIGN OWNED BY {role} TO {OWNER}".encode())
            connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_an_administrator_without_superuser_can_create_the_roles(empty_database_url: str) -> None:
    superuser = as_role(empty_database_url, SUPERUSER)
    with psycopg.connect(superuser, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute("CREATE ROLE admin LOGIN CREATEROLE CREATEDB PASSWORD 'admin'")
        for role in ROLES:
            connection.execute(f"GRANT {role} TO admin WITH ADMIN OPTION".encode())
        connection.execute(f"ALTER DATABASE {name} OWNER TO admin".encode())
    try:
        with psycopg.connect(make_conninfo(superuser, user="admin", password="admin")) as admin:
            admin.execute(read_sql("roles"))
            admin.execute(read_sql("grants"))
        assert migrate.migrate(empty_database_url) is True
    finally:
        with psycopg.connect(superuser, autocommit=True) as connection:
            connection.execute(f"REASSIGN OWNED BY admin TO {OWNER}".encode())
            connection.execute("DROP OWNED BY admin; DROP ROLE admin")


@pytest.fixture
def old_server(
    tmp_path: Path,
    server_folder: Path,
    server_account: ServerAccount,
    server_binaries: ServerBinaries,
) -> Iterator[PostgresServer]:
    """A server whose superuser is `slipway`, the only role, as made by earlier releases."""
    server = PostgresServer(
        server_folder / f"old-{tmp_path.name}",
        installation=server_binaries.postgres,
        account=server_account,
        password=PASSWORDS[SUPERUSER],
        log=server_folder / "old.log",
        options={"fsync": "off"},
    )
    server.start()
    temporary = server.url_for("temporary", "temporary")
    with psycopg.connect(server.superuser_url()) as connection:
        connection.execute("CREATE ROLE temporary SUPERUSER LOGIN PASSWORD 'temporary'")
    with psycopg.connect(temporary) as connection:
        connection.execute(f"ALTER ROLE {SUPERUSER} RENAME TO {APPLICATION}".encode())
    with psycopg.connect(server.url_for(APPLICATION, PASSWORDS[SUPERUSER])) as connection:
        connection.execute("DROP ROLE temporary")
    yield server
    server.stop()


INSERT = (
    "INSERT INTO predictions (id, created_at, request_id, model, version, model_digest, modality,"
    " status, latency_ms, tokens)"
    " VALUES (gen_random_uuid(), now(), %s, 'm', '1', '', 'text', 'ok', 1, 1)"
)


@pytest.mark.parametrize("interrupted", [False, True])
def test_an_installation_with_one_superuser_is_migrated_with_its_rows(
    old_server: PostgresServer, interrupted: bool
) -> None:
    old_url = old_server.url_for(APPLICATION, PASSWORDS[SUPERUSER])
    migrate.migrate(old_url)
    with psycopg.connect(old_url) as connection:
        connection.execute(INSERT, ["before"])
        if interrupted:
            connection.execute("CREATE ROLE slipway_renaming SUPERUSER LOGIN PASSWORD 'lost'")
    for _ in range(2):
        prepare_roles(old_server.superuser_url(), {role: PASSWORDS[role] for role in ROLES})
    assert migrate.migrate(old_server.url_for(OWNER, PASSWORDS[OWNER])) is False

    with psycopg.connect(old_server.url_for(APPLICATION, PASSWORDS[APPLICATION])) as connection:
        connection.execute(INSERT, ["after"])
        requests = connection.execute("SELECT request_id FROM predictions ORDER BY 1").fetchall()
        connection.execute("SELECT slipway_create_partitions()")
    assert requests == [("after",), ("before",)]
    with psycopg.connect(old_server.superuser_url()) as connection:
        owners = connection.execute(
            "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace"
        ).fetchall()
        superusers = connection.execute("SELECT rolname FROM pg_roles WHERE rolsuper").fetchall()
        database_owner = connection.execute(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", [DATABASE]
        ).fetchone()
    assert owners == [(OWNER,)]
    assert superusers == [(SUPERUSER,)]
    assert database_owner == (OWNER,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(old_url)
