"""The sweeper repairs rings, expires jobs and maintains partitions."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import redis.asyncio
from tests.fixtures.batch import (
    Batch,
    assert_each_has_one_result,
    eventually,
    is_available,
    measure_lengths,
)
from tests.fixtures.partitions import PARTITIONED, Month
from tests.fixtures.postgres import as_owner
from tests.fixtures.services import kill_server

from slipway_cli.local.servers.postgres import PostgresServer
from slipway_cli.local.servers.valkey import ValkeyServer
from slipway_core.errors import QueueUnavailable, StoreUnavailable
from slipway_core.maintenance.sweeper import Sweeper
from slipway_core.queue.contract import ring_id
from slipway_core.store.identifiers import first_uuid7, uuid7
from slipway_core.store.postgres.database import Database
from slipway_core.store.schema.partitions import maintain_partitions

pytestmark = pytest.mark.component


async def execute(batch: Batch, statement: str, *values: object) -> list[tuple[object, ...]]:
    url = as_owner(batch.settings.database_url.get_secret_value())
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(statement, values)
        return await cursor.fetchall() if cursor.description else []


async def age_last_rings(batch: Batch) -> None:
    """Move the time of the last rings back by a minute."""
    await execute(batch, "UPDATE batch_chunks SET rung_at = now() - interval '1 minute'")


async def test_lost_rings_are_repeated(batch: Batch) -> None:
    await batch.submit(["a"] * 170, ring=False)
    await batch.sweep()
    assert await batch.doorbell.depth() == 0, "the submitter has time to ring first"
    await age_last_rings(batch)
    await batch.sweep()
    assert await batch.doorbell.depth() == 4


async def test_queued_rings_are_not_repeated(batch: Batch) -> None:
    await batch.submit(["a"] * 170)
    for _ in range(3):
        await age_last_rings(batch)
        await batch.sweep()
    assert await batch.doorbell.depth() == 4


async def test_rings_held_by_a_dead_worker_do_not_count(batch: Batch) -> None:
    await batch.submit(["a"] * 100)
    client = redis.asyncio.Redis.from_url(batch.settings.redis_url.get_secret_value())
    for ring in await client.zrange(batch.settings.queue_name, 0, -1):
        await client.set(b"arq:in-progress:" + ring, b"1", px=600_000)
    await client.aclose()
    assert await batch.doorbell.waiting() == 0
    await age_last_rings(batch)
    await batch.sweep()
    assert await batch.doorbell.waiting() == 2


async def test_rings_of_many_dead_workers_do_not_block_others(batch: Batch) -> None:
    rings = [ring_id(uuid7(), 0, 0) for _ in range(150)]
    await batch.doorbell.ring(rings)
    async with redis.asyncio.Redis.from_url(batch.settings.redis_url.get_secret_value()) as client:
        for ring in rings:
            await client.set(f"arq:in-progress:{ring}", b"1", px=600_000)
    job_id = await batch.submit(["a"])
    async with batch.worker(measure_lengths):
        assert (await batch.wait_for(job_id)).succeeded == 1


async def test_the_ring_of_a_dead_worker_is_removed_when_no_work_is_left(batch: Batch) -> None:
    job_id = await batch.submit(["a"] * 170)
    client = redis.asyncio.Redis.from_url(batch.settings.redis_url.get_secret_value())
    first, *_ = await client.zrange(batch.settings.queue_name, 0, -1)
    await client.set(b"arq:in-progress:" + first, b"1", px=600_000)
    async with batch.worker(measure_lengths):
        await age_last_rings(batch)
        await batch.sweep()
        await batch.wait_for(job_id)
        await eventually(lambda: is_empty(batch, besides=1))
    await batch.sweep()
    assert await batch.doorbell.depth() == 0
    remaining = await client.keys(b"arq:*" + first)
    await client.aclose()
    assert not remaining


async def is_empty(batch: Batch, besides: int) -> bool:
    return await batch.doorbell.depth() == besides


async def test_rings_of_unfinished_work_are_kept(batch: Batch) -> None:
    await batch.submit(["a"] * 170)
    await batch.sweep()
    assert await batch.doorbell.depth() == 4


async def test_a_job_submitted_without_the_queue_is_computed_later(
    batch: Batch, valkey_server: ValkeyServer
) -> None:
    kill_server(valkey_server)
    with pytest.raises(QueueUnavailable):
        await batch.submit(["a", "bb"])
    (job_id,) = (row[0] for row in await execute(batch, "SELECT id FROM batch_jobs"))
    await batch.sweep()
    valkey_server.start()
    await age_last_rings(batch)
    async with batch.worker(measure_lengths):
        await batch.sweep()
        job = await batch.wait_for(job_id)  # type: ignore[arg-type]
    assert_each_has_one_result(await batch.results(job.id), ["a", "bb"])


async def test_a_job_past_its_deadline_expires_and_keeps_its_results(batch: Batch) -> None:
    computed = asyncio.Event()

    async def first_chunk_only(items: list[object]) -> object:
        if computed.is_set():
            await asyncio.Event().wait()
        computed.set()
        return await measure_lengths(items)  # type: ignore[arg-type]

    batch.settings = batch.settings.model_copy(update={"drain_seconds": 0})
    async with batch.worker(first_chunk_only, slots=1):  # type: ignore[arg-type]
        job_id = await batch.submit(["a"] * 120, deadline_after=timedelta(hours=1))

        async def half_done() -> bool:
            return (await batch.jobs.get(job_id)).succeeded == 50

        await eventually(half_done)
        await batch.sweep()
        assert (await batch.jobs.get(job_id)).state == "running"
        await execute(batch, "UPDATE batch_jobs SET deadline = now()")
        await batch.sweep()
        job = await batch.jobs.get(job_id)
    assert (job.state, job.succeeded, job.failed) == ("expired", 50, 0)
    assert job.reason == "the deadline passed"
    assert await batch.jobs.get(job_id) == job
    assert len(await batch.results(job_id)) == 50


async def test_partitions_past_their_retention_are_dropped_with_their_jobs(batch: Batch) -> None:
    now = datetime.now(UTC)
    long_ago = now - timedelta(days=200)
    await execute(batch, "SELECT slipway_create_partitions(%s)", long_ago)
    old = await batch.submit(["old"], ring=False, id=uuid7(long_ago))
    new = await batch.submit(["new"], ring=False)
    await execute(batch, "UPDATE batch_jobs SET created_at = %s WHERE id = %s", long_ago, old)
    await maintain_partitions(batch.database, timedelta(days=90))
    assert await execute(batch, "SELECT id FROM batch_jobs") == [(new,)]
    assert await execute(batch, "SELECT job_id FROM batch_items") == [(new,)]
    assert await execute(batch, "SELECT job_id FROM batch_chunks") == [(new,)]
    names = {row[0] for row in await execute(batch, "SELECT relname FROM pg_class")}
    assert "batch_items" + Month.of(long_ago).suffix not in names
    assert "batch_items" + Month.of(now).suffix in names
    assert first_uuid7(long_ago) <= old


async def test_deleting_jobs_may_exceed_the_statement_timeout(batch: Batch) -> None:
    now = datetime.now(UTC)
    long_ago = now - timedelta(days=200)
    await execute(batch, "SELECT slipway_create_partitions(%s)", long_ago)
    await batch.submit(["old"], ring=False, id=uuid7(long_ago))
    await execute(
        batch,
        "CREATE FUNCTION sleep_2s() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(2); RETURN NULL; END'",
    )
    await execute(
        batch, "CREATE TRIGGER sleep_2s BEFORE DELETE ON batch_chunks EXECUTE FUNCTION sleep_2s()"
    )
    short_timeout = batch.settings.model_copy(update={"database_timeout_seconds": 1.0})
    database = await Database.open(short_timeout)
    await maintain_partitions(database, timedelta(days=90))
    await database.close()
    assert await execute(batch, "SELECT id FROM batch_jobs") == []


async def test_the_month_in_which_the_retention_ends_is_kept(batch: Batch) -> None:
    now = datetime.now(UTC)
    kept = now - timedelta(days=89)
    await execute(batch, "SELECT slipway_create_partitions(%s)", kept)
    job_id = await batch.submit(["kept"], ring=False, id=uuid7(kept))
    await maintain_partitions(batch.database, timedelta(days=90))
    assert (await batch.jobs.get(job_id)).total == 1


async def test_missing_partitions_are_created_by_the_database(batch: Batch) -> None:
    """Its clock decides, not that of the process that asks."""
    month = Month.of(datetime.now(UTC))
    for table in PARTITIONED:
        await execute(batch, f"DROP TABLE {table}{month.suffix}, {table}{month.plus(3).suffix}")
    with pytest.raises(StoreUnavailable, match="no partition"):
        await batch.submit(["now"], ring=False)
    await maintain_partitions(batch.database, timedelta(days=9_000))
    await batch.submit(["now"], ring=False)
    await batch.submit(["later"], ring=False, id=uuid7(month.plus(3).start))


async def test_a_failure_to_maintain_partitions_does_not_stop_the_sweep(batch: Batch) -> None:
    sweeper = Sweeper(batch.database, batch.doorbell, batch.settings)
    await execute(batch, "ALTER TABLE predictions RENAME TO hidden")
    await sweeper.sweep()
    first = await batch.submit(["a"], ring=False)
    await execute(batch, "UPDATE batch_jobs SET deadline = now()")
    await sweeper.sweep()
    assert (await batch.jobs.get(first)).state == "expired"


async def test_a_process_maintains_the_partitions_once_an_hour(batch: Batch) -> None:
    async def sweep_without_the_last_month(sweeper: Sweeper) -> bool:
        name = "predictions" + Month.of(datetime.now(UTC)).plus(3).suffix
        await execute(batch, f"DROP TABLE {name}")
        await sweeper.sweep()
        return bool(await execute(batch, "SELECT 1 FROM pg_class WHERE relname = %s", name))

    sweeper = Sweeper(batch.database, batch.doorbell, batch.settings)
    assert await sweep_without_the_last_month(sweeper)
    assert not await sweep_without_the_last_month(sweeper)


async def test_the_pool_recovers_with_postgres(
    batch: Batch, postgres_server: PostgresServer
) -> None:
    short_timeout = batch.settings.model_copy(update={"database_timeout_seconds": 1.0})
    database = await Database.open(short_timeout)
    await database.ping()
    kill_server(postgres_server)
    with pytest.raises(StoreUnavailable):
        await database.ping()
    with pytest.raises(StoreUnavailable):
        await Sweeper(database, batch.doorbell, short_timeout).sweep()
    postgres_server.start()

    await eventually(lambda: is_available(database), 10)
    await database.close()
