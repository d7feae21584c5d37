"""The migrations: upgrade, downgrade, repeated upgrade, and the resulting schema."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine
from sqlmodel import SQLModel
from tests.fixtures.partitions import MONTHS_AHEAD, PARTITIONED, Month
from tests.fixtures.postgres import as_owner

from slipway_core.errors import InvalidSettings, StoreUnavailable
from slipway_core.store.schema import migrate, tables
from slipway_core.store.schema.revision import HEAD

pytestmark = pytest.mark.component


def table_names(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {name for (name,) in rows.fetchall()}


def create_partition(connection: psycopg.Connection, month: Month) -> None:
    """Create a partition of the prediction log, whatever its columns are."""
    name = "predictions" + month.suffix
    start, end = month.start.isoformat(), month.plus(1).start.isoformat()
    connection.execute(
        f"CREATE TABLE {name} PARTITION OF predictions"
        f" FOR VALUES FROM ('{start}') TO ('{end}')".encode()
    )


def test_a_database_can_be_upgraded_downgraded_and_upgraded_again(empty_database_url: str) -> None:
    assert migrate.migrate(empty_database_url) is True
    first = table_names(empty_database_url)
    migrate.run_alembic(empty_database_url, "base")
    assert table_names(empty_database_url) == {"alembic_version"}
    assert migrate.migrate(empty_database_url) is True
    assert table_names(empty_database_url) == first


def test_new_indexes_of_the_log_are_added_to_existing_partitions(empty_database_url: str) -> None:
    migrate.run_alembic(empty_database_url, "0001")
    month = Month.of(datetime.now(UTC))
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        create_partition(connection, month)
    migrate.migrate(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        rows = connection.execute(
            "SELECT indexdef FROM pg_indexes WHERE tablename = %s", ["predictions" + month.suffix]
        )
        indexes = " ".join(definition for (definition,) in rows.fetchall())
    assert "brin (created_at)" in indexes
    assert "btree (deployment, id) WHERE (status <> 'ok'" in indexes
    assert "btree (deployment, id)" in indexes


@pytest.mark.parametrize("deployment", ["", "default/local"])
def test_stored_predictions_belong_to_the_given_deployment(
    empty_database_url: str, deployment: str
) -> None:
    migrate.run_alembic(empty_database_url, "0002")
    month = Month.of(datetime.now(UTC))
    insert = (
        "INSERT INTO predictions (id, created_at, request_id, model, version, model_digest,"
        " modality, status, latency_ms, tokens)"
        " VALUES (gen_random_uuid(), now(), '', '', '', '', 'text', 'ok', 1, 1)"
    )
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        create_partition(connection, month)
        connection.execute(insert)
        migrate.migrate(empty_database_url, deployment)
        connection.execute(insert)  # by a server of the release before
        rows = connection.execute("SELECT deployment FROM predictions ORDER BY 1").fetchall()
    assert rows == sorted([(deployment,), ("",)])


def test_an_upgrade_creates_the_partitions_of_this_and_the_coming_months(
    empty_database_url: str,
) -> None:
    migrate.migrate(empty_database_url)
    names = table_names(empty_database_url)
    for table in PARTITIONED:
        for ahead in range(MONTHS_AHEAD + 1):
            assert table + Month.of(datetime.now(UTC)).plus(ahead).suffix in names


def test_the_migrated_schema_equals_the_table_definitions(empty_database_url: str) -> None:
    assert tables.Prediction.metadata is SQLModel.metadata
    migrate.migrate(empty_database_url)
    partitions = table_names(empty_database_url) - set(SQLModel.metadata.tables)
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(empty_database_url)
    )
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_server_default": True,
                "include_name": lambda name, kind, _: kind != "table" or name not in partitions,
            },
        )
        assert compare_metadata(context, SQLModel.metadata) == []
    engine.dispose()


def test_several_processes_can_migrate_at_once(empty_database_url: str) -> None:
    def run(_: int) -> str:
        return subprocess.run(
            [sys.executable, "-m", "slipway_core.store.schema.migrate"],
            env={**os.environ, "SLIPWAY_DATABASE_URL": empty_database_url},
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout

    with ThreadPoolExecutor(3) as threads:
        outputs = list(threads.map(run, range(3)))
    assert all(f"revision {HEAD}" in line for line in outputs)
    assert "batch_results" in table_names(empty_database_url)


def test_a_database_of_a_newer_release_is_rejected(database_url: str) -> None:
    with psycopg.connect(as_owner(database_url)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(InvalidSettings, match="at least as new"):
        migrate.migrate(as_owner(database_url))


def test_a_read_only_node_counts_as_unavailable(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
    with pytest.raises(StoreUnavailable, match="read-only"):
        migrate.migrate(empty_database_url)


def test_the_error_for_an_unavailable_database_hides_the_password() -> None:
    with pytest.raises(StoreUnavailable) as caught:
        migrate.migrate("postgresql://someone:secret@127.0.0.1:1/none")
    assert "secret" not in caught.value.message
