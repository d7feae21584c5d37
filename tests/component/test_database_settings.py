"""The store behind poolers, and on servers, databases and roles with settings of their own."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from os import environ

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr
from tests.fixtures.batch import as_items
from tests.fixtures.pgbouncer import StartPooler
from tests.fixtures.postgres import as_owner, as_role

from slipway_batch.settings import BatchSettings
from slipway_core.errors import InvalidSettings
from slipway_core.store.chunks import ChunkRepository
from slipway_core.store.identifiers import uuid7
from slipway_core.store.jobs import JobRepository
from slipway_core.store.postgres.database import Database
from slipway_core.store.predictions import PredictionRepository
from slipway_core.store.records import ItemResult, NewJob, PredictionFilter, PredictionRecord
from slipway_core.store.schema import migrate
from slipway_core.store.schema.partitions import maintain_partitions
from slipway_core.store.schema.roles import SUPERUSER

pytestmark = pytest.mark.component
LEASE = timedelta(seconds=30)


async def use_every_repository(settings: BatchSettings, url: str) -> None:
    """Submit, claim, renew, complete and read a job; store and read a prediction."""
    settings = settings.model_copy(update={"database_url": SecretStr(url)})
    database = await Database.open(settings)
    jobs = JobRepository(database, settings)
    chunks = ChunkRepository(database, settings.queue_name, "ab")
    limit = timedelta(minutes=5)
    new = NewJob(settings.queue_name, "m", "1", "ab", "text", deadline_after=limit)
    job, _ = await jobs.submit(new, as_items(["ünïcode ✓"]))
    assert job.deadline == job.created_at + limit
    claim = await chunks.claim(LEASE)
    assert claim is not None
    assert claim.inputs == ["ünïcode ✓"]
    assert await chunks.begin(claim)
    assert await chunks.renew(claim, LEASE)
    assert (await chunks.backlog()).running == 1
    result = ItemResult(0, {"score": 0.1 + 0.2}, b"", None, None, 1)
    assert await chunks.complete(claim, [result])
    (stored,) = await jobs.results(job.id, -1, 10)
    assert stored == result
    await jobs.expire()
    done = await jobs.get(job.id)
    assert done.state == "succeeded"
    assert done.finished_at is not None
    assert abs(datetime.now(UTC) - done.finished_at) < timedelta(minutes=1)
    await maintain_partitions(database, timedelta(days=90))
    await check_predictions(PredictionRepository(database, settings.deployment_id))
    await database.close()


async def check_predictions(predictions: PredictionRepository) -> None:
    now = datetime.now(UTC)
    record = PredictionRecord(
        uuid7(), now, "r", "m", "1", "ab", "text", "ok", "ünïcode", {"a": 0.3}, b"", 0.1 + 0.2, 1
    )
    await predictions.insert([record])
    (found,) = await predictions.page(PredictionFilter(since=now), None, 10)
    assert found == record


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("DateStyle", "German, DMY"),
        ("IntervalStyle", "sql_standard"),
        ("TimeZone", "Asia/Kathmandu"),
        ("client_encoding", "LATIN1"),
        ("extra_float_digits", "-3"),
        ("bytea_output", "escape"),
        ("default_transaction_isolation", "serializable"),
        ("standard_conforming_strings", "off"),
        ("statement_timeout", "1"),
    ],
)
async def test_settings_of_the_database_do_not_matter(
    database_url: str, batch_settings: BatchSettings, setting: str, value: str
) -> None:
    with psycopg.connect(as_owner(database_url), autocommit=True) as owner:
        owner.execute(
            sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                sql.Identifier(owner.info.dbname), sql.SQL(setting), sql.Literal(value)
            )
        )
    await use_every_repository(batch_settings, database_url)


@pytest.mark.parametrize("mode", ["session", "transaction"])
async def test_a_pooler_may_stand_before_the_database(
    database_url: str, batch_settings: BatchSettings, start_pgbouncer: StartPooler, mode: str
) -> None:
    with psycopg.connect(as_owner(database_url), autocommit=True) as owner:
        name = sql.Identifier(owner.info.dbname)
        owner.execute(sql.SQL("ALTER DATABASE {} SET DateStyle = 'German'").format(name))
    for _ in range(2):
        await use_every_repository(batch_settings, start_pgbouncer(database_url, mode))


def test_the_database_can_be_migrated_through_a_pooler(
    empty_database_url: str, start_pgbouncer: StartPooler
) -> None:
    assert migrate.migrate(start_pgbouncer(empty_database_url, "session")) is True


def test_options_of_the_url_are_kept(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA apart")
    url = make_conninfo(empty_database_url, options="-csearch_path=apart")
    assert migrate.migrate(url) is True
    assert migrate.migrate(url) is False
    with psycopg.connect(empty_database_url) as connection:
        rows = connection.execute(
            "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE 'predictions%'"
        ).fetchall()
    assert rows == [("apart",)]


def test_a_schema_without_the_right_to_create_is_explained_in_one_line(
    database_url: str, empty_database_url: str
) -> None:
    stranger = as_role(empty_database_url, "slipway")
    finished = subprocess.run(
        [sys.executable, "-m", "slipway_core.store.schema.migrate"],
        env={**environ, "SLIPWAY_DATABASE_URL": stranger},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert finished.returncode == 1
    assert len(finished.stderr.splitlines()) == 1
    assert 'GRANT USAGE, CREATE ON SCHEMA "public" TO "slipway"' in finished.stderr


def test_a_search_path_without_a_schema_is_explained(empty_database_url: str) -> None:
    url = make_conninfo(empty_database_url, options="-csearch_path=nowhere")
    with pytest.raises(InvalidSettings, match="CREATE SCHEMA"):
        migrate.migrate(url)


def test_a_database_that_cannot_store_every_text_is_refused(empty_database_url: str) -> None:
    with psycopg.connect(as_role(empty_database_url, SUPERUSER), autocommit=True) as connection:
        connection.execute(
            "CREATE DATABASE ascii_only OWNER slipway_owner ENCODING 'SQL_ASCII' LOCALE 'C'"
            " TEMPLATE template0"
        )
        try:
            with pytest.raises(InvalidSettings, match="ENCODING 'UTF8' TEMPLATE template0"):
                migrate.migrate(make_conninfo(empty_database_url, dbname="ascii_only"))
        finally:
            connection.execute("DROP DATABASE ascii_only WITH (FORCE)")
